"""What is around every page: who reads it, in which language, in which colours.

Rule: language and colours are the reader's own choice, kept by the browser in a cookie that says nothing else; whoever
chose nothing gets what the browser asks for.  Who somebody is costs no look at the gateway.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway import __version__
from gateway.base.people import Person
from gateway.edge.admin_api import AdminApi
from gateway.edge.web.words import LANGUAGES, Words, choose, words

LOOKS = ("auto", "light", "dark")
LANG_COOKIE, LOOK_COOKIE = "ecgw_lang", "ecgw_look"
MAX_AGE = 365 * 86_400
"""Seconds for which a choice is kept."""

SCRIPT_TEXTS = ("live", "live.connecting", "stale", "zone")
"""What the script says by itself."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One reader's.

    Args:
        look: "light" or "dark" where it was chosen, else "".
        now: seconds since 1970.
        named: what the templates of every page are given.
    """

    words: Words
    look: str
    person: Person | None
    now: float
    named: dict[str, Any]

    @classmethod
    def of(cls, request: web.BaseRequest, api: AdminApi, *, is_known: bool = True) -> "Frame":
        """Return the frame for a request; `is_known` is False for the page of who has still to sign in."""
        cookies = request.cookies
        spoken = words(choose(cookies.get(LANG_COOKIE, ""), request.headers.get("Accept-Language", "")))
        chosen = cookies.get(LOOK_COOKIE, "")
        look = chosen if chosen in LOOKS and chosen != "auto" else ""
        person = api.access.person(request) if is_known else None
        now = time.time()
        named = {
            "look": look,
            "icon": "well",
            "person": person,
            "is_open": person is not None and person.by == "open",
            "may_order": person is not None and person.may_order,
            "can_sign_in": is_known and bool(api.access.admin.users),
            **about({}),
        }
        return cls(spoken, look, person, now, named)

    @property
    def may_order(self) -> bool:
        """Whether buttons are shown."""
        return bool(self.named["may_order"])

    @property
    def csrf(self) -> str:
        """What a form of this reader holds."""
        return "" if self.person is None else self.person.csrf

    @property
    def script_words(self) -> str:
        """What the script is told of the language, as JSON."""
        texts = {name: self.words.texts[name] for name in SCRIPT_TEXTS}
        return json.dumps({"units": self.words.units, "texts": texts}, ensure_ascii=False)


def about(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every page says of the gateway; of an empty snapshot what is told to anybody."""
    return {
        "gateway": snapshot.get("gateway") or "",
        "version": snapshot.get("version", __version__),
        "started_at": snapshot.get("started_at", 0.0),
        "sandbox": bool(snapshot.get("sandbox")),
        "shop_port": snapshot.get("shop_port") or 0,
    }


def choice(request: web.BaseRequest) -> web.Response | None:
    """Return the answer to somebody who chooses a language or colours: the same page, and a cookie; else None."""
    lang, look = request.query.get("lang"), request.query.get("look")
    if lang not in LANGUAGES and look not in LOOKS:
        return None
    response = web.Response(status=303, headers={"Location": request.path})
    for name, value, known in ((LANG_COOKIE, lang, LANGUAGES), (LOOK_COOKIE, look, LOOKS)):
        if value in known:
            # Lax: it is no secret, and a link from elsewhere should lead to a page in one's own language
            response.set_cookie(name, str(value), max_age=MAX_AGE, path="/", httponly=True, samesite="Lax")
    return response
