"""Systems that sign their requests, and how they do: what a sender's own code would look like."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from interlock.domain.estate import Estate, HmacSignature, Limits, Signature, StandardWebhooks, System
from interlock.domain.values import SystemId
from tests.web.conftest import small_estate

NEW, OLD = b"new secret of the shop, 32 bytes", b"old secret of the shop, 32 bytes"
PLAIN = "a plain secret"
ENVIRONMENT = {
    "SHOP_NEW": f"whsec_{base64.b64encode(NEW).decode()}",
    "SHOP_OLD": base64.b64encode(OLD).decode(),
    "PLAIN": PLAIN,
    "HEX": PLAIN.encode().hex(),
}

Headers = dict[str, str]


def signed_estate() -> Estate:
    """The small estate, with systems of several styles that decide stock."""
    estate = small_estate()
    model = estate.systems[SystemId("webshop")]

    def system(name: str, signature: Signature, **more: object) -> System:
        fields = {field: getattr(model, field) for field in model.__struct_fields__}
        own = {"id": SystemId(name), "name": name, "order_scope": name, "kind": "backoffice", "api_key_sha256": ()}
        return System(**(fields | own | {"signature": signature} | more))

    key = (hashlib.sha256(b"both-secret").hexdigest(),)
    systems = [
        system("shop", StandardWebhooks(secrets_env=("SHOP_NEW", "SHOP_OLD"))),
        system("other", StandardWebhooks(secrets_env=("SHOP_OLD",))),
        system("brief", StandardWebhooks(secrets_env=("SHOP_NEW",), replay_s=3.0)),
        system("both", StandardWebhooks(secrets_env=("SHOP_NEW",), with_api_key=True), api_key_sha256=key),
        system("slow", StandardWebhooks(secrets_env=("SHOP_NEW",)), limits=Limits(inbound_per_s=0.1, inbound_burst=2)),
        system(
            "hub",
            HmacSignature(header="X-Hub-Signature-256", secrets_env=("PLAIN",), prefix="sha256=", id_header="X-Hub-Id"),
        ),
        system("cart", HmacSignature(header="X-Cart-Hmac", secrets_env=("HEX",), secret_encoding="hex", encoding="base64")),
        system(
            "pay",
            HmacSignature(
                header="Pay-Signature", secrets_env=("PLAIN",), prefix="v1=", timestamp_prefix="t=",
                signed="{timestamp}.{body}",
            ),
        ),
        system(
            "chat",
            HmacSignature(
                header="X-Chat-Signature", secrets_env=("PLAIN",), prefix="v0=", algorithm="sha512",
                signed="v0:{timestamp}:{body}", timestamp_header="X-Chat-Time", timestamp_format="iso",
            ),
        ),
    ]  # fmt: skip
    return Estate(
        retailer=estate.retailer, currency="USD", systems={**estate.systems, **{each.id: each for each in systems}},
        nodes=estate.nodes, channels=estate.channels, node_aliases=estate.node_aliases,
    )  # fmt: skip


def webhook(body: bytes, *, secret: bytes = NEW, message_id: str = "msg_1", at: float | None = None) -> Headers:
    """Headers by Standard Webhooks."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret, f"{message_id}.{stamp}.".encode() + body, "sha256").digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def hex_of(content: bytes, algorithm: str = "sha256") -> str:
    """A signature with the plain secret in hex digits."""
    return hmac.new(PLAIN.encode(), content, algorithm).hexdigest()
