// One merchant's day through Stripe's Node SDK, unmodified: its argument is farthing.json-like
// JSON on standard input, its result JSON on standard output.
import Stripe from "stripe";
import { readFileSync } from "node:fs";

const { api_base, secret_key } = JSON.parse(readFileSync(0, "utf8"));
const { hostname, port } = new URL(api_base);
const stripe = new Stripe(secret_key, {
  host: hostname,
  port,
  protocol: "http",
  maxNetworkRetries: 0,
  telemetry: false,
  timeout: 30_000,
});

const customer = await stripe.customers.create({ email: "jenny@example.com" });
const method = await stripe.paymentMethods.create({
  type: "card",
  card: { number: "4242424242424242", exp_month: 12, exp_year: 2034, cvc: "123" },
});
await stripe.paymentMethods.attach(method.id, { customer: customer.id });
const intent = await stripe.paymentIntents.create({
  amount: 5000,
  currency: "eur",
  customer: customer.id,
  payment_method: method.id,
  capture_method: "manual",
  confirm: true,
  automatic_payment_methods: { enabled: true, allow_redirects: "never" },
});
const captured = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 4000 });
const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 1500 });
const order = await stripe.paymentIntents.create({
  amount: 1200,
  currency: "eur",
  customer: customer.id,
  metadata: { order: "2" },
});
const listed = [];
for await (const found of stripe.paymentIntents.list({ customer: customer.id, limit: 1 })) {
  listed.push(found.id);
}
const charge = await stripe.charges.retrieve(intent.latest_charge, { expand: ["customer"] });
const again = { idempotencyKey: `refund-of-${intent.id}` };
const refunds = [
  await stripe.refunds.create({ charge: charge.id, amount: 100 }, again),
  await stripe.refunds.create({ charge: charge.id, amount: 100 }, again),
];
let declined = null;
try {
  await stripe.paymentIntents.create({
    amount: 700,
    currency: "eur",
    payment_method: "pm_card_chargeDeclined",
    confirm: true,
    automatic_payment_methods: { enabled: true, allow_redirects: "never" },
  });
} catch (error) {
  declined = { type: error.type, code: error.code, decline_code: error.decline_code };
}
console.log(
  JSON.stringify({
    authorized: intent.status,
    captured: captured.status,
    received: captured.amount_received,
    refund: refund.status,
    listed: listed.map((id) => ({ [intent.id]: "intent", [order.id]: "order" })[id]),
    customer: charge.customer.email,
    refunded_once: refunds[0].id === refunds[1].id,
    declined,
  }),
);
