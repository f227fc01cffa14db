"""Check servers, buckets and databases of the configuration, and say what to do.

Writes one tiny object `litefleet/doctor-<random>` to each bucket and purges it. The exit code is 0 only if nothing
FAILs.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from litefleet.cli.common import add_config, add_json, load_config, print_json
from litefleet.doctor import check_bucket, check_database, check_server


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet doctor``."""
    add_config(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print a line per check."""
    databases = load_config(options).databases
    servers = dict.fromkeys((db.replica.server, url) for db in databases for url in db.replica.server.urls)
    findings = [await check_server(server, url) for server, url in servers]
    for replica in dict.fromkeys(db.replica for db in databases):
        findings += await check_bucket(replica)
    findings += [check_database(db.path) for db in databases]
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for found in findings:
            hint = f"  → {found.hint}" if found.hint else ""
            print(f"{found.status:4}  {found.what}  {found.detail}{hint}")
    return int(any(found.status == "FAIL" for found in findings))
