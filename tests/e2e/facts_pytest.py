"""Runs by pytest in a handler of the worker facts."""

import asyncio

import entry
import pytest
import workers


@pytest.fixture
async def key():
    await workers.env.KV.put("key", "by a fixture")
    return "key"


async def test_binding(key):
    assert await workers.env.KV.get(key) == "by a fixture"


async def test_waits_for_another_request():
    # Another request of the same instance sets it, from the instance's own loop.
    while not entry.go.is_set():
        await asyncio.sleep(0.01)
