"""What the ledger and the store hold as FHIR R4 resources: plain dicts, JSON-ready, no name of a resident in any.

May import model, store's records and the rules' words. Codes: LOINC and UCUM of the vital-signs profile; all else in
our own code system. Validated in the tests by fhir.resources.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.notice import HOME, NoticeState
from mimamori.model.times import MINUTE, NEVER, iso
from mimamori.sensors.profile import Profile
from mimamori.web.records import Access, Device, Resident

Resource = dict[str, Any]

OURS = "urn:mimamori"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
CODES: Mapping[str, tuple[str, str, str, str]] = {
    "heart_rate": ("8867-4", "Heart rate", "/min", "beats/minute"),
    "respiration_rate": ("9279-1", "Respiratory rate", "/min", "breaths/minute"),
    "spo2": ("2708-6", "Oxygen saturation in Arterial blood", "%", "%"),
    "body_temperature": ("8310-5", "Body temperature", "Cel", "C"),
}
"""LOINC code, its display, UCUM code, unit as shown; by metric. SpO2 also carries 59408-5 (by pulse oximetry)."""
PULSE_OXIMETRY = ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry")
STEP = 5 * MINUTE
"""One Observation: the mean of so long. Contactless sensors are too noisy for single readings to mean anything."""
_SEVERITY = {"high": "high", "medium": "moderate", "low": "low"}
_HURRY = {"high": "stat", "medium": "urgent", "low": "routine"}
_STATUS = {
    "planned": "preparation", "sending": "in-progress", "sent": "completed", "delivered": "completed",
    "failed": "not-done", "cancelled": "not-done",
}  # fmt: skip
_MEDIUM = {"voice": ("PHONE", "telephone"), "email": ("EMAILWRIT", "email")}
_DONE = {"acknowledged": "taken by staff", "resolved": "closed", "escalated": "the next people were called"}
_VITAL = re.compile(r"([0-9a-f]{40})\.(\d+-\d)\.(\d{1,9})")
_ID = re.compile(r"[^A-Za-z0-9-]")


def fhir_id(name: str) -> str:
    """A household's id where FHIR allows letters, digits, - and . only: other signs as .XX (hexadecimal)."""
    return _ID.sub(lambda found: f".{ord(found[0]):02X}", name)


def household_of(patient: str) -> str:
    """The household of a patient's id, or of a reference to them ("Patient/..." or an address that ends so)."""
    return re.sub(r"\.([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), patient.rpartition("/")[2])


def key_id(key: str) -> str:
    """The id of a resource whose key has signs or a length that FHIR does not take."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def _concept(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _patient_ref(household: str) -> Resource:
    return {"reference": f"Patient/{fhir_id(household)}"}


def _person(staff: str) -> Resource:
    return {"type": "Practitioner", "identifier": {"system": f"{OURS}:staff", "value": staff}}


def patient(resident: Resident) -> Resource:
    """The resident by code alone: who they are stays in this system."""
    return {
        "resourceType": "Patient", "id": fhir_id(resident.household), "active": resident.watched,
        "identifier": [{"system": f"{OURS}:code", "value": resident.code}],
    }  # fmt: skip


def device_id(household: str, device: str) -> str:
    """The id of a Device resource."""
    return key_id(f"{household}/{device}")


def device(of: Device, profile: Profile | None) -> Resource:
    """One sensor of a home."""
    kind = profile.title.en if profile else of.profile
    return {
        "resourceType": "Device", "id": device_id(of.household, of.device),
        "identifier": [{"system": f"{OURS}:device", "value": f"{of.household}/{of.device}"}],
        "status": "active" if of.active else "inactive",
        "deviceName": [{"name": of.device, "type": "user-friendly-name"}],
        "type": _concept(f"{OURS}:profile", of.profile, kind), "patient": _patient_ref(of.household),
    }  # fmt: skip


def vital_id(of: str, metric: str, start: int) -> str:
    """The id of an Observation: its Device's, its LOINC code, and which step of time it is."""
    return f"{of}.{CODES[metric][0]}.{start // STEP}"


def vital_named(wanted: str) -> tuple[str, str, int] | None:
    """(Device's id, metric, step of time) of an Observation's id; None for what is none."""
    found = _VITAL.fullmatch(wanted)
    metric = next((m for m, c in CODES.items() if found and c[0] == found[2]), None)
    return (found[1], metric, int(found[3])) if found and metric else None


def vital(  # noqa: PLR0917 - what it is of, one by one
    household: str, of: str, metric: str, start: int, value: float, absent: str, *, zone: str
) -> Resource:
    """The mean of one vital sign over STEP. value: NaN where `absent` says why there is none (a data-absent-reason)."""
    code, display, unit_code, unit = CODES[metric]
    told: Resource = {
        "resourceType": "Observation", "id": vital_id(device_id(household, of), metric, start), "status": "final",
        "category": [_concept(f"{_HL7}observation-category", "vital-signs", "Vital Signs")],
        "code": _concept(LOINC, code, display), "subject": _patient_ref(household),
        "effectivePeriod": {"start": iso(start, zone), "end": iso(start + STEP, zone)},
        "device": {"reference": f"Device/{device_id(household, of)}"},
    }  # fmt: skip
    if metric == "spo2":
        told["code"]["coding"].append({"system": LOINC, "code": PULSE_OXIMETRY[0], "display": PULSE_OXIMETRY[1]})
    if math.isfinite(value):
        told["valueQuantity"] = {"value": round(value, 1), "unit": unit, "system": UCUM, "code": unit_code}
    else:
        words = {"unknown": "no signal", "not-performed": "not in bed", "temp-unknown": "not known yet"}[absent]
        told["dataAbsentReason"] = _concept(f"{_HL7}data-absent-reason", absent, words)
    return told


def issue(alert: Alert, events: Sequence[AlertEvent], devices: Sequence[Device], metric: str, *, zone: str) -> Resource:
    """An alert, what it rests on, and what was done. metric: the vital sign its rule looks at, "" for none."""
    told: Resource = {
        "resourceType": "DetectedIssue", "id": key_id(alert.id),
        "identifier": [{"system": f"{OURS}:alert", "value": alert.id}],
        "status": "final" if alert.state == "resolved" else "preliminary",
        "code": _concept(f"{OURS}:rule", alert.rule, alert.title_en or alert.rule),
        "severity": _SEVERITY[alert.priority], "patient": _patient_ref(alert.household),
        "identifiedDateTime": iso(alert.opened, zone), "detail": alert.why_en or alert.why_ja or alert.rule,
    }  # fmt: skip
    seen = [d for d in devices if d.household == alert.household and (d.active or d.device == alert.device)]
    if alert.device:
        seen = [d for d in seen if d.device == alert.device]
    implicated = [{"reference": f"Device/{device_id(d.household, d.device)}"} for d in seen]
    value = alert.evidence.get("value")
    if metric in CODES and isinstance(value, int | float) and math.isfinite(value):
        held = vital(alert.household, "", metric, alert.opened - STEP, float(value), "", zone=zone)
        del held["device"]
        told["contained"] = [held | {"id": "value", "effectivePeriod": {"end": iso(alert.opened, zone)}}]
        implicated.insert(0, {"reference": "#value"})
    if implicated:
        told["implicated"] = implicated
    mitigation = [_mitigation(e, zone) for e in events if e.kind in _DONE]
    return told | ({"mitigation": mitigation} if mitigation else {})


def _mitigation(event: AlertEvent, zone: str) -> Resource:
    words = f"{_DONE[event.kind]}: {event.outcome}" if event.outcome else _DONE[event.kind]
    done: Resource = {"action": _concept(f"{OURS}:event", event.kind, words), "date": iso(event.at, zone)}
    return done | ({"author": _person(event.by)} if event.by not in {"engine", "policy", ""} else {})


def message(state: NoticeState, household: str, *, zone: str) -> Resource:
    """One message to a person or a home, and whether it arrived."""
    notice = state.notice
    code, text = _MEDIUM.get(notice.channel, ("", notice.channel))
    medium = _concept(f"{_HL7}v3-ParticipationMode", code, text) if code else _concept(f"{OURS}:channel", text, text)
    to = _patient_ref(notice.recipient.removeprefix(HOME)) if notice.recipient.startswith(HOME) else _person(
        notice.recipient)  # fmt: skip
    told: Resource = {
        "resourceType": "Communication", "id": key_id(notice.key),
        "identifier": [{"system": f"{OURS}:notice", "value": notice.key}], "status": _STATUS[state.status],
        "category": [_concept(f"{OURS}:kind", notice.kind, notice.kind)], "priority": _HURRY[notice.priority],
        "medium": [medium], "recipient": [to], "payload": [{"contentString": notice.text}],
        "about": [{"reference": f"DetectedIssue/{key_id(notice.alert)}"}],
    }  # fmt: skip
    if household:
        told["subject"] = _patient_ref(household)
    if state.sent_at != NEVER:
        told["sent"] = iso(state.sent_at, zone)
    if state.delivered_at != NEVER:
        told["received"] = iso(state.delivered_at, zone)
    if told["status"] == "not-done":
        told["statusReason"] = {"text": state.detail or state.status}
    return told


def audit(line: Access, *, zone: str, known: bool) -> Resource:
    """One line of the access log. known: whose it is is a resident that may be asked for as a Patient."""
    read = not line.what.startswith(("resident", "device", "staff", "absence", "contact ", "webhook", "rule", "shadow"))
    told: Resource = {
        "resourceType": "AuditEvent", "id": key_id(f"{line.who}/{line.whose}/{line.what}/{line.at}/{line.where}"),
        "type": {"system": f"{_HL7}audit-event-type", "code": "rest", "display": "RESTful Operation"},
        "action": "R" if read else "U", "recorded": iso(line.at, zone), "outcome": "0",
        "agent": [{"who": _person(line.who), "requestor": True, **(
            {"network": {"address": line.where, "type": "2"}} if line.where else {})}],
        "source": {"observer": {"display": "Mimamori"}},
        "entity": [{"name": line.what, **({"what": _patient_ref(line.whose)} if known else {})}],
    }  # fmt: skip
    return told


def outcome(code: str, text: str) -> Resource:
    """An OperationOutcome: what was wrong with a request."""
    return {
        "resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "diagnostics": text}]
    }  # fmt: skip


def capability(version: str, date: str) -> Resource:
    """What may be asked here."""
    searched = {
        "Patient": ("_id", "identifier"), "Device": ("_id", "patient"),
        "Observation": ("patient", "code", "date"), "DetectedIssue": ("_id", "patient", "identified"),
        "Communication": ("_id", "patient", "sent"), "AuditEvent": ("patient", "date"),
    }  # fmt: skip
    kinds = {"_id": "token", "identifier": "token", "code": "token", "patient": "reference"}
    return {
        "resourceType": "CapabilityStatement", "status": "active", "date": date, "kind": "instance",
        "software": {"name": "Mimamori", "version": version}, "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "implementation": {"description": "Safety confirmation, not a medical device; read only"},
        "rest": [{
            "mode": "server",
            "security": {"description": "HTTP Basic (staff id and password) or a session; every read is logged"},
            "resource": [
                {
                    "type": name,
                    "interaction": [{"code": c} for c in ("read", "search-type")[name == "AuditEvent" :]],
                    "searchParam": [{"name": k, "type": kinds.get(k, "date")} for k in keys],
                }
                for name, keys in searched.items()
            ],
        }],
    }  # fmt: skip
