"""The HTTP APIs: which function answers which route."""

import json
from collections import defaultdict

from stacks.constructs.api import ACCESS_LOG
from tests.support.synthesis import Platform

API = "AWS::ApiGatewayV2::Api"
ROUTE = "AWS::ApiGatewayV2::Route"
STAGE = "AWS::ApiGatewayV2::Stage"


def routes(platform: Platform) -> dict[str, set[str]]:
    """Returns the routes of the merchant API by function."""
    template = platform.stack("Payments")
    integrations = template.of_type("AWS::ApiGatewayV2::Integration")
    found = defaultdict(set)
    for route in template.of_type(ROUTE).values():
        _, integration = route["Properties"]["Target"]["Fn::Join"][1]
        uri = integrations[integration["Ref"]]["Properties"]["IntegrationUri"]
        function = uri["Fn::GetAtt"][0].partition("Function")[0]
        found[function].add(route["Properties"]["RouteKey"])
    return dict(found)


def test_api_routes_card_numbers_to_the_vault_alone(platform: Platform) -> None:
    found = routes(platform)

    assert found["TokenizeCard"] == {"POST /v1/payment_methods", "POST /v1/tokens"}


def test_api_routes_each_family_to_its_function(production: Platform) -> None:
    found = routes(production)
    del found["TokenizeCard"]

    assert found == {
        "ApiPayments": {
            f"ANY /v1/{family}{rest}"
            for family in ("payment_intents", "charges", "refunds")
            for rest in ("", "/{proxy+}")
        },
        "ApiCustomers": {
            "ANY /v1/customers",
            "ANY /v1/customers/{proxy+}",
            "GET /v1/payment_methods",
            "ANY /v1/payment_methods/{proxy+}",
            "GET /v1/tokens/{proxy+}",
            "GET /v1/confirmation_tokens/{proxy+}",
            "ANY /v1/payment_method_configurations",
            "ANY /v1/payment_method_configurations/{proxy+}",
            "ANY /v1/payment_method_domains",
            "ANY /v1/payment_method_domains/{proxy+}",
        },
        "ApiSetupIntents": {
            "ANY /v1/setup_intents",
            "ANY /v1/setup_intents/{proxy+}",
            "ANY /v1/setup_attempts",
            "ANY /v1/mandates/{proxy+}",
        },
        "ApiEvents": {
            f"ANY /v1/{family}{rest}"
            for family in ("events", "webhook_endpoints")
            for rest in ("", "/{proxy+}")
        },
        "ApiLedger": {
            "ANY /v1/balance",
            "ANY /v1/balance_transactions",
            "ANY /v1/balance_transactions/{proxy+}",
            "ANY /v1/ledger/{proxy+}",
        },
        "ApiDefault": {"$default"},
    }


def test_api_has_test_helpers_beside_the_sandbox_only(dev: Platform, production: Platform) -> None:
    assert routes(dev)["ApiTestHelpers"] == {"ANY /v1/test_helpers/{proxy+}"}
    assert "ApiTestHelpers" not in routes(production)


def test_pages_of_any_origin_may_ask_the_merchant_api_alone(dev: Platform) -> None:
    found = {
        stack.rpartition("-")[2]: api["Properties"].get("CorsConfiguration")
        for (stack, _), api in dev.of_type(API).items()
    }

    assert found.pop("Payments") == {
        "AllowHeaders": ["authorization", "content-type", "idempotency-key", "stripe-version"],
        "AllowMethods": ["GET", "POST"],
        "AllowOrigins": ["*"],
        "ExposeHeaders": [
            "idempotent-replayed",
            "request-id",
            "retry-after",
            "stripe-should-retry",
        ],
        "MaxAge": 300,
    }
    assert set(found.values()) == {None}


def test_api_rate_is_bounded(platform: Platform) -> None:
    for where, stage in platform.of_type(STAGE).items():
        settings = stage["Properties"]["DefaultRouteSettings"]
        assert settings["ThrottlingRateLimit"] > 0, where
        assert settings["ThrottlingBurstLimit"] > 0, where


def test_api_access_log_has_no_place_for_a_card_number(platform: Platform) -> None:
    # a path, a query, a header or a body could hold one
    for where, stage in platform.of_type(STAGE).items():
        settings = stage["Properties"]["AccessLogSettings"]
        assert json.loads(settings["Format"]) == ACCESS_LOG, where
        assert "Log" in json.dumps(settings["DestinationArn"]), where
    assert set(ACCESS_LOG.values()) == {
        "$context.requestId",
        "$context.requestTime",
        "$context.identity.sourceIp",
        "$context.routeKey",
        "$context.status",
        "$context.error.message",
        "$context.responseLatency",
        "$context.integrationLatency",
    }
