"""FHIR over HTTP: every resource is held against the models of fhir.resources, what it says against the store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B import get_fhir_model_class

from mimamori.model.alert import AlertEvent
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND
from mimamori.store.records import Device

ALERT = "H001/inactivity/20261122T213605Z"
PULSE, BREATH, SPO2 = "8867-4", "9279-1", "2708-6"


def valid(told: Any) -> Any:
    """The answer, once the library has taken it and every resource in it."""
    get_fhir_model_class(told["resourceType"]).model_validate(told)
    for entry in told.get("entry", []):
        get_fhir_model_class(entry["resource"]["resourceType"]).model_validate(entry["resource"])
    return told


async def read(client: Any, path: str, **asked: Any) -> Any:
    answer = await client.get(f"/fhir/{path}", params=asked or None)
    assert answer.headers["content-type"] == "application/fhir+json"
    return valid(answer.json())


def resources(bundle: Any) -> list[Any]:
    return [e["resource"] for e in bundle.get("entry", [])]


@pytest.fixture
async def bed(ward: Any) -> int:
    """A bed sensor in H001: an hour of pulse 60 in bed, then an empty bed that still reports 80; the end in ns."""
    homes, metrics = ward.homes, {"heart_rate": 0, "in_bed": 3}
    row = homes.add_device("H001", "bed1", "bed-sensor")
    await ward.ledger.put_device(Device(household="H001", device="bed1", profile="bed-sensor"))
    start = (ward.clock - 2 * HOUR) // HOUR * HOUR
    taken = start + np.arange(0, 90) * MINUTE
    there = np.arange(90) < 60
    for metric, value in (("in_bed", there * 1.0), ("heart_rate", np.where(there, 60.0, 80.0))):
        n = len(taken)
        await ward.readings.append(ReadingBatch(
            home=np.zeros(n, np.int32), device=np.full(n, row, np.int32), value=value, taken=taken, got=taken + SECOND,
            metric=np.full(n, metrics[metric], np.int16), flags=np.zeros(n, np.uint8),
        ))  # fmt: skip
    return start


async def test_what_it_can_do(ward: Any) -> None:
    told = await read(await ward.sign_in("N-01"), "metadata")
    assert told["fhirVersion"] == "4.0.1"
    assert {r["type"] for r in told["rest"][0]["resource"]} == {
        "Patient", "Device", "Observation", "DetectedIssue", "Communication", "AuditEvent"
    }  # fmt: skip


async def test_a_resident_is_a_code_and_nothing_more(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    bundle = await read(client, "Patient", identifier="urn:mimamori:code|C-001")
    assert bundle["total"] == 1
    assert resources(bundle)[0]["identifier"][0]["value"] == "C-001"
    one = await read(client, "Patient/H001")
    assert not {"name", "telecom", "address", "birthDate"} & one.keys()
    assert "山田" not in str(one)
    missing = await client.get("/fhir/Patient/H777")
    assert (missing.status_code, valid(missing.json())["resourceType"]) == (404, "OperationOutcome")


async def test_vital_signs_are_means_with_their_codes_and_gaps_with_their_reason(ward: Any, bed: int) -> None:
    client = await ward.sign_in("N-01")
    iso = "2026-11-23T04:00:00+09:00"
    assert bed == 1795374000 * SECOND  # the same hour
    asked = {"patient": "Patient/H001", "code": f"http://loinc.org|{PULSE}", "date": [f"ge{iso}", "lt2026-11-23T06:00:00+09:00"]}  # fmt: skip  # noqa: E501
    found = resources(await read(client, "Observation", **asked))[::-1]
    assert len(found) == 24
    first = found[0]
    assert first["effectivePeriod"]["start"].startswith("2026-11-23T04:00:00")
    assert first["valueQuantity"] == {"value": 60.0, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min"}  # fmt: skip  # noqa: E501
    assert {o["code"]["coding"][0]["code"] for o in found} == {PULSE}
    reasons = [o.get("dataAbsentReason", {}).get("coding", [{}])[0].get("code") for o in found]
    assert reasons == [None] * 12 + ["not-performed"] * 6 + ["unknown"] * 6  # an empty bed's pulse is not told
    assert all(("valueQuantity" in o) != ("dataAbsentReason" in o) for o in found)
    (device,) = resources(await read(client, "Device", patient="H001"))
    assert {o["device"]["reference"] for o in found} == {f"Device/{device['id']}"}
    assert (await read(client, f"Device/{device['id']}"))["patient"]["reference"] == "Patient/H001"


async def test_pages_join_to_the_whole(ward: Any, bed: int) -> None:
    client = await ward.sign_in("N-01")
    asked = {"patient": "H001", "code": f"{PULSE},{BREATH}", "date": "2026-11-23"}
    whole = await read(client, "Observation", _count=1000, **asked)
    assert whole["total"] == len(resources(whole)) == 2 * (6 * 12 + 8)  # to the last whole step before 06:40
    parts, page = [], await read(client, "Observation", _count=33, **asked)
    while True:
        parts += resources(page)
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        page = valid((await client.get(following[0])).json())
    assert parts == resources(whole)


async def test_alerts_say_what_was_seen_and_done(ward: Any, bed: int, opened_event: Any) -> None:
    event = opened_event("H001", rule="heart-rate")
    on = {"household": "H001", "rule": "heart-rate", "alert": event.alert}
    await ward.tell(AlertEvent(**{n: getattr(event, n) for n in AlertEvent.__dataclass_fields__} | {
        "evidence": {"value": 138.0, "low": 40.0, "high": 120.0}
    }))  # fmt: skip
    await ward.tell(AlertEvent(kind="acknowledged", at=ward.clock, by="N-01", reason="", until=NEVER, **on))
    client = await ward.sign_in("N-01")
    (issue,) = resources(await read(client, "DetectedIssue", patient="Patient/H001"))
    assert (issue["severity"], issue["status"], issue["code"]["coding"][0]["code"]) == (
        "high",
        "preliminary",
        "heart-rate",
    )
    assert issue["contained"][0]["valueQuantity"]["value"] == 138.0
    assert issue["contained"][0]["code"]["coding"][0]["code"] == PULSE
    assert issue["implicated"][0] == {"reference": "#value"}
    assert issue["mitigation"][0]["author"]["identifier"]["value"] == "N-01"
    await ward.tell(AlertEvent(
        kind="resolved", at=ward.clock, by="N-01", reason="", outcome="help-given", **on
    ))  # fmt: skip
    again = await read(client, f"DetectedIssue/{issue['id']}")
    assert (again["status"], len(again["mitigation"])) == ("final", 2)
    assert resources(await read(client, "DetectedIssue", identified="lt2026-11-01")) == []


async def test_messages_say_whether_they_arrived(ward: Any, opened_event: Any, notice_for: Any) -> None:
    notice = notice_for(ALERT)
    await ward.tell(opened_event("H001"), notice, notice_for(ALERT, recipient="home:H001", channel="voice", kind="ask"))
    await ward.ledger.mark_notice(notice.key, status="sending", now=ward.clock)
    await ward.ledger.mark_notice(notice.key, status="delivered", now=ward.clock + MINUTE, provider_id="SM1")
    client = await ward.sign_in("N-01")
    found = {m["medium"][0]["text"]: m for m in resources(await read(client, "Communication", patient="H001"))}
    assert found["sms"]["status"] == "completed"
    assert found["sms"]["received"].startswith("2026-11-23T06:41:05")
    assert found["sms"]["recipient"][0]["identifier"]["value"] == "N-01"
    assert found["telephone"]["recipient"] == [{"reference": "Patient/H001"}]
    assert "+8190" not in str(found)


async def test_bad_questions_are_answered_with_an_outcome(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    for path in (
        "Observation",
        "Observation?patient=H001&date=yesterday",
        "Observation?patient=H001&date=ge2020-01-01",
    ):
        answer = await client.get(f"/fhir/{path}")
        assert (answer.status_code, valid(answer.json())["resourceType"]) == (400, "OperationOutcome"), path
    assert (await (await ward.client()).get("/fhir/Patient")).status_code == 401


async def test_every_read_is_in_the_access_log_with_whose_it_was(ward: Any, bed: int) -> None:
    client = await ward.sign_in("AU-1")
    for path in ("Observation?patient=Patient/H001", "Patient/H001", "Device", "Communication?patient=H001"):
        assert (await client.get(f"/fhir/{path}")).status_code == 200
    lines = [(a.who, a.what, a.whose) for a in await ward.ledger.accesses() if a.what.startswith("fhir")]
    assert lines[::-1] == [
        ("AU-1", "fhir observations", "H001"), ("AU-1", "fhir patient", "H001"), ("AU-1", "fhir devices", ""),
        ("AU-1", "fhir messages", "H001"),
    ]  # fmt: skip


async def test_ids_go_there_and_back() -> None:
    from mimamori.web.fhir_shapes import fhir_id, household_of

    for name in ("H001", "a_b~c.d-e", "X"):
        assert household_of(f"Patient/{fhir_id(name)}") == name


async def test_what_a_search_finds_is_read_again_by_its_id(
    ward: Any, bed: int, opened_event: Any, notice_for: Any
) -> None:
    await ward.tell(opened_event("H001"), notice_for(ALERT))
    client = await ward.sign_in("N-01")
    for path in ("Patient?_count=3", "Device", "Observation?patient=H001&_count=50", "DetectedIssue", "Communication"):
        kind, found = path.partition("?")[0], resources(await read(client, path))
        assert found, kind
        for told in found[-3:]:
            assert await read(client, f"{kind}/{told['id']}") == told
            assert (await ward.ledger.accesses(limit=1))[0].whose == ("H001" if kind != "Patient" else told["id"])
    vital = resources(await read(client, "Observation", patient="H001"))[0]["id"]
    device, code, step = vital.rsplit(".", 2)
    elsewhere = (f"{device}.{code}.{int(step) + 10**6}", f"{device}.8310-5.{step}", f"{'0' * 40}.{code}.{step}", "x")
    for wrong in elsewhere:
        answer = await client.get(f"/fhir/Observation/{wrong}")
        assert (answer.status_code, valid(answer.json())["resourceType"]) == (404, "OperationOutcome"), wrong
    assert resources(await read(client, "Communication", _id="0")) == []


async def test_the_access_log_is_told_to_those_who_may_see_it(ward: Any) -> None:
    nurse = await ward.sign_in("N-01")
    await nurse.get("/households/H001")
    assert (await nurse.get("/fhir/AuditEvent")).status_code == 403
    auditor = await ward.sign_in("AU-1")
    (seen,) = resources(await read(auditor, "AuditEvent", patient="Patient/H001"))
    assert seen["agent"][0]["who"]["identifier"]["value"] == "N-01"
    assert seen["agent"][0]["network"]["address"] == "127.0.0.1"
    assert (seen["entity"][0]["name"], seen["entity"][0]["what"]) == ("household", {"reference": "Patient/H001"})
    assert resources(await read(auditor, "AuditEvent", date="lt2026-11-01")) == []
