"""What an instance does at its first boot, and at every one after it."""

from __future__ import annotations

import shlex

import yaml

from mark.cloud.aws.agent_settings import AgentSettings
from mark.errors import ConfigError

__all__ = ["user_data"]

_SETTINGS = "/etc/mark/agent.json"
_UNIT = "/etc/systemd/system/mark-agent.service"
_INSTALL = "/etc/mark/install.sh"
_HOME = "/opt/mark"
_BYTES_MAX = 16_384  # EC2's own limit, before base64
_ENDING_S = 15.0  # beyond the worker's grace: the agent waits for it, and ends its own connections

# SERVICE_RESULT is "success" when systemd was told to end the unit, and it did: the machine stops, or a person looks
# after it. Otherwise the worker has ended by itself, and a machine without one is paid for nothing.
_POWER_OFF = """+/bin/sh -c 'test "$$SERVICE_RESULT" = success || systemctl poweroff --no-block'"""

_UNIT_TEXT = """\
[Unit]
Description=mark worker and its agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={program} aws agent {settings}
ExecStopPost={power_off}
Restart=no
KillMode=mixed
TimeoutStopSec={stop_s:.0f}
DynamicUser=yes
NoNewPrivileges=yes
ProtectHome=yes
RuntimeDirectory=mark
RuntimeDirectoryMode=0700
StateDirectory=mark
Environment=HOME=/var/lib/mark TMPDIR=/var/lib/mark PYTHONUNBUFFERED=1

[Install]
WantedBy=multi-user.target
"""

_INSTALL_TEXT = """\
#!/bin/sh
set -eu
test ! -x {home}/bin/mark || exit 0
find_python() {{
  for name in python3.13 python3.12 python3.11 python3.10 python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$name"
      return 0
    fi
  done
  return 1
}}
if ! python=$(find_python); then
  if command -v dnf >/dev/null; then
    dnf install --quiet --assumeyes python3.11
  else
    apt-get update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes python3-venv
  fi
  python=$(find_python)
fi
"$python" -m venv {home}
{home}/bin/pip install --quiet --retries 5 {packages}
"""


def user_data(settings: AgentSettings) -> str:
    """The cloud-config of an instance, as text; the same settings give the same text. It holds no secret.

    A machine whose worker ends by itself, or that cannot install mark, powers itself off, which its launch template
    turns into an end. One that is stopped and started serves again: the unit starts at every boot.

    Raises:
        ConfigError: it is longer than EC2 takes.
    """
    unit = _UNIT_TEXT.format(
        program=f"{_HOME}/bin/mark" if settings.install else "mark",
        settings=_SETTINGS,
        power_off=_POWER_OFF,
        stop_s=settings.grace_s + _ENDING_S,
    )
    files = [_file(_SETTINGS, settings.to_json()), _file(_UNIT, unit)]
    commands = ["systemctl daemon-reload", "systemctl enable --now --no-block mark-agent.service"]
    if settings.install:
        packages = " ".join(shlex.quote(word) for word in settings.install.split())
        files.append(_file(_INSTALL, _INSTALL_TEXT.format(home=_HOME, packages=packages)))
        commands = [f"sh {_INSTALL} || {{ systemctl poweroff; exit 1; }}", *commands]
    text = "#cloud-config\n" + yaml.safe_dump(
        {"write_files": files, "runcmd": [["sh", "-c", " && ".join(commands)]]}, sort_keys=False, width=120
    )
    if len(text.encode()) > _BYTES_MAX:
        raise ConfigError(
            f"user data for model {settings.artifact.signature.name!r} takes {len(text.encode())} bytes, "
            f"EC2 takes {_BYTES_MAX}: shorten its lists of tensors and sizes"
        )
    return text


def _file(path: str, content: str) -> dict[str, str]:
    return {"path": path, "permissions": "0644", "owner": "root:root", "content": content}
