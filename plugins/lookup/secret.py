"""A secret file of the controller, in check mode also before it exists."""

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: Content of a secret file on the controller
version_added: 0.1.0
description:
  - Reads a file that M(litefleet.backup.secrets) or M(litefleet.backup.certificates) made, without its final newline.
  - In check mode a missing file gives a placeholder, because it would be made in a real run.
  - Files encrypted by ansible-vault are decrypted.
options:
  _terms:
    description: Paths of files.
    required: true
author: litefleet maintainers
"""

EXAMPLES = r"""
- name: Use the password of the routes
  ansible.builtin.set_fact:
    route_password: "{{ lookup('litefleet.backup.secret', inventory_dir ~ '/.secrets/route.password') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: Content of each file.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

NOT_YET = "(made on the first run)"


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Content of each file of ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self._read(term, check=bool((variables or {}).get("ansible_check_mode"))) for term in terms]

    def _read(self, path: str, *, check: bool) -> str:
        if not Path(path).exists():
            if check:
                return NOT_YET
            raise AnsibleLookupError(f"{path} is missing; run playbooks/nats.yml, or restore the secrets directory")
        text: str = self._loader.get_text_file_contents(path)
        return text.rstrip("\n")
