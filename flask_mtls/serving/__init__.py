"""How servers are made to ask for certificates, each by the hooks it offers."""

from __future__ import annotations
