"""What flows, in flow order: times, metrics, homes, readings, findings, alerts, notices. No I/O, no clock."""
