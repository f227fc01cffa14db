"""``python -m litefleet``."""

from __future__ import annotations

from litefleet.cli.main import main

raise SystemExit(main())
