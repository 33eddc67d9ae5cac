"""A few of the maintainers' thousand rounds (outbox_rounds.py): a sender killed and cut off at random loses nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mimamori.model.notice import Sent
from mimamori.notify.outbox import Backoff, Outbox
from mimamori.notify.sms import TwilioSms

ROUNDS = Path(__file__).with_name("outbox_rounds.py")
ACCOUNT, TOKEN, OURS = "AC" + "0" * 32, "not-a-secret", "+815012345678"
NOW = 1_795_000_000 * 1_000_000_000


async def test_killed_and_cut_off_at_random_nothing_is_lost_and_nothing_doubled() -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, str(ROUNDS), "--rounds", "6", "--seed", "11", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(run.communicate(), 150)
    told = json.loads(out)
    assert told["killed"] + told["cuts"] >= 3
    assert told["notices"] > 0
    assert (told["lost"], told["not_sent"]) == (0, 0)
    assert told["doubled"] <= 1, "a request may cross the question whether it had come"


async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(
    network: Any, memory: Any, notice: Any
) -> None:
    one = notice()
    memory.commit(one)
    sms = TwilioSms(account=ACCOUNT, token=TOKEN, sender=OURS, base_url=network.url)

    class Deaf:
        """The first answer is lost on its way back; what the service has taken can be asked for."""

        answers = 0

        async def send(self, given: Any) -> Sent:
            answer = await sms.send(given)
            self.answers += 1
            return Sent(outcome="retry", detail="lost") if self.answers == 1 else answer

        async def find(self, given: Any, since: int) -> Any:
            return await sms.find(given, since)

    deaf = Deaf()
    outbox = Outbox(memory, {"sms": deaf}, backoff=Backoff(first=1))
    network.expect(one)
    assert (await outbox.run_once(NOW)).retried == 1
    assert (await outbox.run_once(NOW + 10)).sent == 1
    await sms.close()
    assert deaf.answers == 1
    assert memory.rows[one.key].detail == "taken at an earlier try"
    assert memory.rows[one.key].provider_id == network.standin.messages[0].sid


async def test_an_equal_message_that_belongs_to_another_notice_is_not_taken_for_this_one(
    network: Any, memory: Any, notice: Any
) -> None:
    first, second = notice(round=0), notice(round=1)
    assert first.text == second.text
    memory.commit(first)
    sms = TwilioSms(account=ACCOUNT, token=TOKEN, sender=OURS, base_url=network.url)
    network.expect(first, second)
    outbox = Outbox(memory, {"sms": sms})
    await outbox.run_once(NOW)
    memory.commit(second)
    await memory.mark_notice(second.key, status="sending", now=NOW)  # a try of which nothing came
    assert (await outbox.run_once(NOW)).sent == 1
    await sms.close()
    assert len(network.standin.messages) == 2
