"""Many payments that look alike wake somebody."""

from stacks.events import DUPLICATES_METRIC
from tests.support.synthesis import REGION, Platform


def test_suspected_duplicates_of_live_payments_are_counted_and_alarm(production: Platform) -> None:
    events = production.stack("Events", REGION)
    # when
    (counted,) = [f["Properties"] for f in events.of_type("AWS::Logs::MetricFilter").values()]
    alarms = [a["Properties"] for a in events.of_type("AWS::CloudWatch::Alarm").values()]
    # then
    assert counted["FilterPattern"] == "{ $.suspected_duplicate IS TRUE }"
    assert counted["LogGroupName"]["Ref"].startswith("DetectDuplicates")
    (transformation,) = counted["MetricTransformations"]
    assert transformation["MetricName"] == DUPLICATES_METRIC
    (alarm,) = [alarm for alarm in alarms if alarm.get("MetricName") == DUPLICATES_METRIC]
    assert (alarm["Namespace"], alarm["Statistic"]) == (transformation["MetricNamespace"], "Sum")
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (5, 300, 1)
    assert alarm["AlarmActions"]
