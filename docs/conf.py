"""How Sphinx builds these pages. Nothing is fetched: the build works without a network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mtls_core import __version__

project = "flask-mtls"
copyright = "the flask-mtls authors"
version = release = __version__

extensions = [
    "pallets_sphinx_themes",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.doctest",
    "fragments",
]
exclude_patterns = ["_build"]
default_role = "code"
root_doc = "index"

autosectionlabel_prefix_document = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
# The signature has the defaults; what a default is made of (a function, a module's constant) stays in words.
autodoc_preserve_defaults = True

#: For the examples in docstrings, which know the names of their own module.
doctest_global_setup = """
from mtls_core.names import parse_spiffe_id
from mtls_core.pins import Pin
"""

html_theme = "flask"
html_title = f"flask-mtls {version}"
html_show_sourcelink = False
html_copy_source = False

# What belongs to other projects. Their inventories would have to be fetched.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|datetime|ipaddress|os|pathlib|ssl|typing)(\..*)?"),
    ("py:.*", r"(blinker|cheroot|click|cryptography|flask|gunicorn|requests|urllib3|werkzeug)\..*"),
    # As they are called in the modules that import them by name.
    ("py:(class|exc)", r"AppImportError|Flask|Namespace|Retry"),
    # An attribute that a class here has from requests.
    ("py:attr", r"request"),
    # Aliases and variables of types, which say nothing that the text beside them does not.
    ("py:class", r"CASource|Clock|HasCertificate|MinimumVersion|OtherHosts|PinSource"),
    ("py:class", r"flask_mtls\.(decorators\.(T|V)|extension\.(Handler|Loader))"),
    # Of redis-py, and as a module calls what it imported by name.
    ("py:meth", r"redis\..*|DevelopmentCA\.crl"),
    ("py:class", r"SharedCache|timedelta"),
    # What public names of revocation are made of, and what their users need not name.
    ("py:class", r"Address|Endpoint|Network|RedisClient|Register|mtls_core\.revocation\.exchange\.Fetched"),
    ("py:(exc|meth|attr)", r"IndexUnavailable|AllowedHosts\.parse|settings"),
    # cheroot's own server, as far as anybody needs to know.
    ("py:class", r"flask_mtls\.serving\.cheroot\.MTLSServer"),
    # Not on these pages yet.
    ("py:class", r"requests_mtls\.hosts\.HostList"),
]
