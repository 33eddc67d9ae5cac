"""A change put in force and one resident's own limit: entered in the console, at once at work in the service."""

from __future__ import annotations

from typing import Any

from mimamori.model.times import DAY, MINUTE, iso

SLOW = {"in_bed": 1.0, "heart_rate": 52.0, "body_movement": 20.0}
"""A pulse that the ward's limit of 40 leaves alone."""


async def test_a_change_and_an_own_limit_take_effect_and_the_alert_says_so(service: Any, until: Any) -> None:
    async with service() as running:
        api = running.api

        async def post(what: str, method: str = "POST", **said: Any) -> Any:
            answer = await api.client.request(method, f"/admin/{what}", json=said)
            assert answer.status_code == 200, answer.text
            return answer.json()

        settings = {"high.medium": 105}
        trial = await post("trials", rule="heart-rate", settings=settings, name="上限を下げる", reason="看護師長の提案")
        made = await post(f"trials/{trial['id']}/promote", name="上限105", reason="二週間の試し運転のあと")
        assert (made["version"], made["status"]) == (1, "in-force")
        review = iso(running.clock.now() + 30 * DAY, "Asia/Tokyo")
        await post("limits", "PUT", household="H001", rule="heart-rate", key="low.high", value=55, until=review,
                   reason="ふだんの脈が60台")  # fmt: skip

        async def told() -> Any:
            await running.device.tells(SLOW, MINUTE)
            return [a for a in await api.get("alerts") if a["rule"] == "heart-rate"]

        (alert,) = await until(told, within=30)
        assert "55以下・105以上" in alert["why"]
        assert "この方の設定" in alert["why"]
        assert (alert["evidence"]["own"], alert["evidence"]["low"], alert["evidence"]["high"]) == (1.0, 55.0, 105.0)
        (rule,) = [r for r in await api.get("admin/rules") if r["rule"] == "heart-rate"]
        assert (rule["version"], {p["key"]: p["now"] for p in rule["parameters"]}["high.medium"]) == (1, 105)
