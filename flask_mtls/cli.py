"""``flask mtls …``"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo, pass_script_info, show_server_banner
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from mtls_core.errors import MTLSError

from .config import shown
from .decisions import decisions_of


class SeparatedPaths(click.Path):
    """Paths joined by the separator of the system's PATH."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split, and check each."""
        convert_one = super().convert
        return [convert_one(item, param, ctx) for item in self.split_envvar_value(value)]


@click.group("mtls")
def cli() -> None:
    """Mutual TLS."""


@cli.command("run")
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="The interface to bind to.")
@click.option("--port", "-p", default=5000, show_default=True, help="The port to bind to.")
@click.option("--debug/--no-debug", default=None, help="Set debug mode, as 'flask --debug' does.")
@click.option("--reload/--no-reload", default=None, help="Restart when code changes. On with --debug.")
@click.option("--debugger/--no-debugger", default=None, help="Show tracebacks in the browser. On with --debug.")
@click.option("--with-threads/--without-threads", default=True, help="Handle each connection in a thread.")
@click.option("--extra-files", type=SeparatedPaths(), help=f"Further files to watch, joined by {os.pathsep!r}.")
@click.option("--exclude-patterns", type=SeparatedPaths(), help=f"Files not to watch, joined by {os.pathsep!r}.")
@pass_script_info
def run_command(
    info: ScriptInfo,
    host: str,
    port: int,
    debug: bool | None,
    reload: bool | None,
    debugger: bool | None,
    with_threads: bool,
    extra_files: list[str] | None,
    exclude_patterns: list[str] | None,
) -> None:
    """Run a development server that asks callers for their certificate.

    It shows the identity MTLS_IDENTITY and trusts the issuers in MTLS_CLIENT_CA. Where proxies do that, as
    MTLS_FORWARDED says, and there is no MTLS_IDENTITY, it speaks plain HTTP with them. As with 'flask run', the
    reloader and the debugger are on by default with --debug.
    """
    from .serving import werkzeug

    if debug is not None:
        os.environ["FLASK_DEBUG"] = "1" if debug else "0"  # what the app, and the reloader's child, look at
    debug = get_debug_flag()
    app = _load_app(info)
    show_server_banner(debug, info.app_import_path)
    options = werkzeug.RunOptions(
        use_reloader=debug if reload is None else reload,
        use_debugger=debug if debugger is None else debugger,
        threaded=with_threads,
        extra_files=extra_files,
        exclude_patterns=exclude_patterns,
    )
    if app is None:
        werkzeug.wait_for_change(host, port, options)
        return
    try:
        werkzeug.run(app, host, port, options)
    except MTLSError as error:
        raise click.ClickException(str(error)) from error


@cli.command("config")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@pass_script_info
def config_command(info: ScriptInfo, form: str) -> None:
    """Show the MTLS_* settings in force. Secrets are left out."""
    try:
        settings = shown(decisions_of(info.load_app()).settings)
    except MTLSError as error:
        raise click.ClickException(str(error)) from error
    if form == "json":
        click.echo(json.dumps(settings, indent=2))
        return
    width = max(map(len, settings))
    for name, value in settings.items():
        click.echo(f"{name:<{width}}  {json.dumps(value)}")


def _load_app(info: ScriptInfo) -> Flask | None:
    """The app; ``None`` if it does not load while the reloader waits for the mistake to be mended."""
    try:
        return info.load_app()
    except MTLSError as error:
        if not is_running_from_reloader():
            raise click.ClickException(str(error)) from error
        traceback.print_exc()
    except Exception:
        if not is_running_from_reloader():
            raise
        traceback.print_exc()
    return None
