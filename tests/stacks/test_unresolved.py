"""An operation that a card network did not answer wakes somebody."""

from stacks.payments import NETWORK_STEPS, UNRESOLVED_METRIC
from tests.support.synthesis import REGION, Platform


def test_unresolved_operations_are_counted_and_alarm(production: Platform) -> None:
    payments = production.stack("Payments", REGION)
    # when
    filters = [
        found["Properties"]
        for found in payments.of_type("AWS::Logs::MetricFilter").values()
        if found["Properties"]["MetricTransformations"][0]["MetricName"] == UNRESOLVED_METRIC
    ]
    alarms = [a["Properties"] for a in payments.of_type("AWS::CloudWatch::Alarm").values()]
    # then
    assert len(filters) == len(NETWORK_STEPS)
    assert {f["FilterPattern"] for f in filters} == {"{ $.unresolved IS TRUE }"}
    (alarm,) = [alarm for alarm in alarms if alarm.get("MetricName") == UNRESOLVED_METRIC]
    assert alarm["Threshold"] == 1
    assert alarm["AlarmActions"]
