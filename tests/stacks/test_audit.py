"""The audit: it runs on a schedule, and the first violation wakes somebody."""

from stacks.audit import INTERVAL_MINUTES, VIOLATIONS_METRIC
from tests.support.synthesis import REGION, Platform


def test_audit_runs_every_few_minutes_and_is_not_repeated(platform: Platform) -> None:
    audit = platform.stack("Audit", REGION)
    # when
    (schedule,) = audit.of_type("AWS::Scheduler::Schedule").values()
    # then
    facts = schedule["Properties"]
    assert facts["ScheduleExpression"] == f"rate({INTERVAL_MINUTES} minutes)"
    assert facts["Target"]["Arn"]["Fn::GetAtt"][0].startswith("AuditInvariants")
    assert facts["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0}


def test_audit_first_violation_alarms(production: Platform) -> None:
    audit = production.stack("Audit", REGION)
    # when
    (counted,) = [f["Properties"] for f in audit.of_type("AWS::Logs::MetricFilter").values()]
    alarms = [a["Properties"] for a in audit.of_type("AWS::CloudWatch::Alarm").values()]
    # then
    assert counted["FilterPattern"] == "{ $.violated IS TRUE }"
    assert counted["LogGroupName"]["Ref"].startswith("AuditInvariants")
    (transformation,) = counted["MetricTransformations"]
    assert transformation["MetricName"] == VIOLATIONS_METRIC
    (alarm,) = [alarm for alarm in alarms if alarm["MetricName"] == VIOLATIONS_METRIC]
    assert (alarm["Namespace"], alarm["Statistic"]) == (transformation["MetricNamespace"], "Sum")
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (1, 300, 1)
    assert alarm["AlarmActions"]


def test_audit_that_fails_alarms(production: Platform) -> None:
    alarms = production.stack("Audit", REGION).of_type("AWS::CloudWatch::Alarm").values()
    # when
    (alarm,) = [a["Properties"] for a in alarms if a["Properties"]["MetricName"] == "Errors"]
    # then
    assert alarm["Namespace"] == "AWS/Lambda"
    assert alarm["EvaluationPeriods"] == 3


def test_audit_reads_the_record_of_the_sandbox_network_where_there_is_one(
    production: Platform, dev: Platform
) -> None:
    for platform in (production, dev):
        functions = platform.stack("Audit", REGION).of_type("AWS::Lambda::Function").values()
        (function,) = functions
        settings = function["Properties"]["Environment"]["Variables"]
        assert (settings.get("SANDBOX_NETWORK") == "1") is platform.stage.sandbox_network
        assert ("NETWORK_URL" in settings) is platform.stage.sandbox_network
