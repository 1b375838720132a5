"""A session made from the blueprint is like one of aiosmtpd's constructor, and shares nothing."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from types import FunctionType

import pytest
from aiosmtpd.smtp import SMTP
from inbound_harness import House

from relay.inbound.errands import LIBRARY_VERBS
from relay.inbound.fast_start import Blueprint


def built(blueprint: Blueprint) -> SMTP:
    session = SMTP.__new__(SMTP)
    blueprint.construct(session)
    return session


def plain_values(session: SMTP) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(session).items()
        if isinstance(value, (str, int, bool, float, type(None)))
    }


async def test_sessions_are_like_those_of_the_librarys_constructor() -> None:
    blueprint = Blueprint(hostname="relay.test", size_limit=1000)
    first, second = built(blueprint), built(blueprint)
    fresh = SMTP(
        None,
        hostname="relay.test",
        ident="ESMTP",
        enable_SMTPUTF8=True,
        data_size_limit=1000,
        loop=asyncio.get_running_loop(),
    )
    assert vars(second).keys() == vars(fresh).keys() | {"command_size_limits"}
    assert plain_values(first) == plain_values(second) == plain_values(fresh)


async def test_sessions_share_nothing_that_changes() -> None:
    blueprint = Blueprint(hostname="relay.test", size_limit=1000)
    sessions = [built(blueprint) for _ in range(3)]
    immutable = (str, int, bool, float, type(None), FunctionType, asyncio.AbstractEventLoop)
    for first, second in itertools.pairwise(sessions):
        for name, value in vars(first).items():
            if not isinstance(value, immutable) and vars(second)[name] is value:
                assert not value, f"{name} is shared and holds {value!r}"
        for verb in LIBRARY_VERBS:
            assert second._smtp_methods[verb].__self__ is second
        assert second.command_size_limits is not first.command_size_limits
        assert vars(second)["_client_connected_cb"].__self__ is second


async def test_a_class_is_looked_through_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    original = inspect.getmembers

    def counted(value: object) -> object:
        calls.append(value)
        return original(value)

    monkeypatch.setattr(inspect, "getmembers", counted)
    for _ in range(3):
        await house.connect()
    # Once for the session and once for its absent handler.
    assert len(calls) == 2


async def test_the_librarys_other_verbs_can_not_be_reached(house: House) -> None:
    await house.connect()
    (session,) = house.listeners._service.live
    assert sorted(session._smtp_methods) == ["EXPN", "NOOP", "RSET"]
    assert session._auth_methods == {}
