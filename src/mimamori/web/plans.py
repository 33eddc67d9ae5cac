"""Which charts a page has: those of a household, or of an alert, from what the application holds.

May import why, past, guard and drawing's titles. Draws nothing itself.
"""

from __future__ import annotations

from fastapi import Request

from mimamori.model.alert import Alert
from mimamori.model.times import NEVER
from mimamori.web.drawing import TITLES
from mimamori.web.guard import web_of
from mimamori.web.past import Past
from mimamori.web.why import Chart, charts_of
from mimamori.web.words import Lang


def charts_for(request: Request, lang: Lang, household: str, alert: Alert | None = None) -> list[Chart]:
    """The charts of an alert, or of a household; [] where no readings are at hand."""
    web = web_of(request)
    if web.readings is None or web.desk.view.now == NEVER:
        return []
    site = request.app.state.site
    past = Past(readings=web.readings, household=household, zone=site.zone, until=web.desk.view.now)
    titles = {name: title[lang] for name, title in TITLES.items()}
    mine = [a for a in web.desk.view.alerts if a.household == household]
    charts = charts_of(past, lang, titles, alert, mine)
    if alert is None:
        return charts.of_household()
    return charts.of_alert(alert, next((r for r in site.rules if r.name == alert.rule), None))
