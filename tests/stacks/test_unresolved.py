"""An operation that a card network did not answer wakes somebody."""

from stacks.payments import NETWORK_STEPS, UNRESOLVED_METRIC
from tests.support.synthesis import REGION, Platform


def test_unresolved_operations_are_counted_and_alarm(production: Platform) -> None:
    payments = production.stack("Payments", REGION)
    # when
    filters = [f["Properties"] for f in payments.of_type("AWS::Logs::MetricFilter").values()]
    alarms = [a["Properties"] for a in payments.of_type("AWS::CloudWatch::Alarm").values()]
    # then
    assert len(filters) == len(NETWORK_STEPS)
    assert {f["FilterPattern"] for f in filters} == {"{ $.unresolved IS TRUE }"}
    names = {t["MetricName"] for f in filters for t in f["MetricTransformations"]}
    assert names == {UNRESOLVED_METRIC}
    (alarm,) = [alarm for alarm in alarms if alarm.get("MetricName") == UNRESOLVED_METRIC]
    assert alarm["Threshold"] == 1
    assert alarm["AlarmActions"]
