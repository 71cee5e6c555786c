"""Files that hold a private key: read, recognised, opened, and told apart when they do not open.

:class:`~mtls_core.identity.Identity` is the face of this room.
"""

from __future__ import annotations
