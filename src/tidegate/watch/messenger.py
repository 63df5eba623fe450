"""`python -m tidegate.watch.messenger`: a process of its own that sends messages by Apprise, and may do nothing else.

Apprise knows a hundred services and reaches them by itself. So that no address in a channel can lead to this machine or
its network, every connection of this process is looked at where it is made, by its numeric address; nor may it start
other programs. It reads one JSON value on standard input and writes one JSON line for each message.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.errors import (
    AlertAddressRefused,
    AlertChannelInvalid,
    AlertUndelivered,
    EnvironmentLacking,
    TidegateError,
)
from tidegate.watch.outbound import Outbound, allowed_networks

DEADLINE_S = 60.0
BATCH = 20
# What of the environment the process is given: no proxy, for it would be what is connected to, and no secret.
_HANDED_ON = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")

SERVICES: Mapping[str, str] = {
    "mailto": "mail",
    "mailtos": "mail over TLS",
    "slack": "Slack",
    "workflows": "Microsoft Teams, by a workflow",
    "wecombot": "WeCom group",
    "dingtalk": "DingTalk group",
    "feishu": "Feishu group",
    "lark": "Lark group",
    "discord": "Discord",
    "gchat": "Google Chat",
    "webex": "Webex",
    "tgram": "Telegram",
    "mmost": "Mattermost",
    "mmosts": "Mattermost over TLS",
    "rocket": "Rocket.Chat",
    "rockets": "Rocket.Chat over TLS",
    "matrix": "Matrix",
    "matrixs": "Matrix over TLS",
    "ntfy": "ntfy",
    "ntfys": "ntfy over TLS",
    "gotify": "Gotify",
    "gotifys": "Gotify over TLS",
    "pover": "Pushover",
    "pagerduty": "PagerDuty",
    "opsgenie": "Opsgenie",
    "twilio": "SMS by Twilio",
}
"""Apprise's name of a service (what its address begins with) → what it is. What sends to any web server as it is told
is not here: that is what webhooks are for. Nor is what acts on this machine."""


def checked_address(url: str) -> str:
    """The service an address is of. Raises `AlertChannelInvalid`, never quoting the address (I8)."""
    service, sign, rest = url.partition("://")
    if not sign or not rest or len(url) > 2000 or not url.isprintable():
        raise AlertChannelInvalid("url: is not an address such as slack://… or mailtos://…")
    if service.lower() not in SERVICES:
        raise AlertChannelInvalid(
            f"url: there is no service {service[:20]}; services are {', '.join(SERVICES)}. To a web server of your own "
            "send by a channel of kind webhook"
        )
    return service.lower()


# --- in the server ----------------------------------------------------------------------------------------------


def send(
    messages: Sequence[Mapping[str, Any]], outbound: Outbound, *, deadline_s: float = DEADLINE_S
) -> list[TidegateError | None]:
    """Send messages (`url`, `title`, `body`, `level`; with `check` the address is only looked at) by a process that is
    gone after the deadline; for each None, or what became of it: `AlertUndelivered`, `AlertAddressRefused`,
    `AlertChannelInvalid`, `EnvironmentLacking`. What the process would say beyond that may hold secrets and is lost."""
    asked = {"allowed": [str(network) for network in outbound.allowed], "messages": list(messages)}
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    try:
        said = subprocess.run(
            [sys.executable, "-m", "tidegate.watch.messenger"],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deadline_s,
            env=environment,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    except OSError:
        return [AlertUndelivered("the process that sends messages could not be started") for _ in messages]
    words = said.decode("ascii", "replace").split()
    return [_outcome(words[at] if at < len(words) else "") for at in range(len(messages))]


def _outcome(word: str) -> TidegateError | None:
    match word:
        case "sent":
            return None
        case "lacking":
            return EnvironmentLacking("sending to this service needs apprise: pip install apprise")
        case "invalid":
            return AlertChannelInvalid("url: the service does not take such an address")
        case "blocked":
            return AlertAddressRefused("the channel leads to an address that is not public")
        case _:
            return AlertUndelivered("the service did not take the message, or did not answer in time")


# --- in the process ---------------------------------------------------------------------------------------------

_PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
_CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")


class Warden:
    """Sees every connection before it is made."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self.blocked = False

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            raise PermissionError("no other program is started here")
        if event in _CONNECTING and not self._fine(*given[:2]):
            self.blocked = True
            raise PermissionError("this address is not reached from here")

    def _fine(self, connection: socket.socket, place: Any = None) -> bool:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        return isinstance(place, tuple) and self._outbound.may_reach(str(place[0]))


def _speak(messages: Iterable[Mapping[str, Any]], warden: Warden) -> None:
    try:
        import apprise
    except ModuleNotFoundError:
        for _ in messages:
            _say("lacking")
        return
    for message in messages:
        warden.blocked = False
        service = apprise.Apprise.instantiate(message["url"], suppress_exceptions=True)
        if service is None:
            _say("invalid")
        elif message.get("check"):
            _say("sent")
        else:
            sent = service.notify(title=message["title"], body=message["body"], notify_type=message["level"])
            _say("sent" if sent else "blocked" if warden.blocked else "failed")


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    warden = Warden(Outbound(allowed_networks(",".join(asked["allowed"]))))
    sys.addaudithook(warden)
    _speak(asked["messages"], warden)
