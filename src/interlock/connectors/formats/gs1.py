"""GS1 XML, versions 2.x and 3.x: each order, despatch advice, receiving advice, inventory report ... is a document.

They are found by their local names, in whatever envelope they come: a message of version 3 (`orderMessage`), the commands and
transactions of version 2, a StandardBusinessDocument, or alone. The StandardBusinessDocumentHeader and the command of version 2
are in the context (`@StandardBusinessDocumentHeader`, `@documentCommandHeader`). Other messages are documents too: what stands
below the root of a message, or the root; a mapping says what is to be done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from interlock.connectors.formats.document import Document, Flaw, Numbers, Tree, WriteRefused
from interlock.connectors.formats.xml_order import Sequence, ordered, sequence
from interlock.connectors.formats.xml_stream import elements
from interlock.connectors.formats.xml_write import root_of, written
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/xml"
_HEADER: Final = "StandardBusinessDocumentHeader"
_HEADERS: Final = frozenset({_HEADER, "documentCommandHeader", "messageHeader"})
_KNOWN: Final = frozenset(
    {
        "order",
        "orderResponse",
        "orderChange",
        "multiShipmentOrder",
        "despatchAdvice",
        "receivingAdvice",
        "inventoryReport",
    }
    | {"inventoryActivityOrInventoryStatus", "consumptionReport", "goodsRequirement", "invoice", "debitCreditAdvice"}
    | {"warehousingOutboundInstruction", "warehousingOutboundNotification", "warehousingInboundInstruction"}
    | {"warehousingInboundNotification", "applicationReceiptAcknowledgement", "gs1Response"}
)
_WRAPPERS: Final = frozenset(
    {"StandardBusinessDocument", "Envelope", "Body", "message", "transaction", "command", "documents"}
)


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """Every document of a GS1 XML file. Raises FormatUnreadable."""
    found = elements(
        source,
        wanted=_wanted(),
        encoding=form.encoding,
        headers=_HEADERS,
        expected="a GS1 document such as <order> in it",
    )
    for element in found:
        if isinstance(element, Flaw):
            yield element
        else:
            yield Document(element.name, element.place, element.data, element.raw, element.context, element.notes)


def _wanted() -> Callable[[str, int], bool]:
    message = False

    def wanted(name: str, depth: int) -> bool:
        nonlocal message
        if name in _KNOWN:
            return True
        if depth == 1:
            message = name.endswith("Message")
            return not message and name not in _WRAPPERS
        return message and depth == 2 and name not in _HEADERS

    return wanted


# Writing: version 3

_VERSION: Final = "3.4"
_HEADER_NAMESPACE: Final = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
_NAMESPACES: Final = {
    "order": "urn:gs1:ecom:order:xsd:3",
    "despatchAdvice": "urn:gs1:ecom:despatch_advice:xsd:3",
    "warehousingOutboundInstruction": "urn:gs1:ecom:warehousing_outbound_instruction:xsd:3",
}
_DOCUMENT: Final = (
    "creationDateTime documentStatusCode documentActionCode documentStructureVersion lastUpdateDateTime"
    " revisionNumber extension documentEffectiveDate avpList"
)
_SEQUENCES: Final[dict[str, Sequence]] = {
    "order": sequence(
        f"{_DOCUMENT} orderIdentification orderTypeCode isApplicationReceiptAcknowledgementRequired"
        " additionalOrderInstruction isOrderFreeOfExciseTaxDuty note orderInstructionCode orderEntryType"
        " totalMonetaryAmountExcludingTaxes totalMonetaryAmountIncludingTaxes totalTaxAmount orderRelatedDate buyer"
        " seller billTo pickupFrom customsBroker orderLogisticalInformation allowanceCharge deliveryTerms"
        " paymentTerms contract customerDocumentReference promotionalDeal quoteNumber transportInstruction"
        " orderLineItem",
        "creationDateTime documentStatusCode orderIdentification buyer seller orderLineItem",
    ),
    "orderLineItem": sequence(
        "lineItemNumber requestedQuantity additionalOrderLineInstruction lineItemActionCode"
        " orderLineItemInstructionCode parentLineItemNumber netAmount netPrice monetaryAmountExcludingTaxes"
        " monetaryAmountIncludingTaxes recommendedRetailPrice listPrice note extension avpList"
        " transactionalTradeItem orderLineItemContact orderLineItemDetail",
        "lineItemNumber requestedQuantity transactionalTradeItem",
    ),
    "despatchAdvice": sequence(
        f"{_DOCUMENT} despatchAdviceIdentification deliveryTypeCode rackIDAtPickUpLocation totalDepositAmount"
        " totalNumberOfLines blanketOrder buyer buyerOnBehalfOf buyerForwarder carrier customsBroker"
        " declarantsCustomsIdentification inventoryLocation logisticServiceProvider owner pickUpLocation receiver"
        " seller shipFrom shipTo shipper ultimateConsignee contract customerDocumentReference customerReference"
        " deliveryNote deliverySchedule despatchInformation orderResponse purchaseOrder receivingAdvice routingGuide"
        " specification transportInstruction despatchAdviceTransportInformation deliveryTerms"
        " despatchAdviceLogisticUnit",
        "creationDateTime documentStatusCode despatchAdviceIdentification receiver shipper despatchAdviceLogisticUnit",
    ),
    "orderLogisticalInformation": sequence(
        "commodityTypeCode shipmentSplitMethodCode intermediateDeliveryParty inventoryLocation shipFrom shipTo"
        " ultimateConsignee orderLogisticalDateInformation shipmentTransportationInformation"
    ),
}


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:
    """One file of version 3: a message with its documents, which are `{order: {...}}`, all of the same kind.

    With an envelope, the StandardBusinessDocumentHeader says who sends it to whom (their GLNs). Raises WriteRefused.
    """
    if not documents:
        raise WriteRefused("documents", "none", "at least one document")
    kind, _ = root_of(documents[0])
    if kind not in _NAMESPACES:
        raise WriteRefused("document 1", kind, f"one of {', '.join(_NAMESPACES)}")
    contents: list[Tree] = []
    for place, document in enumerate(documents, start=1):
        name, content = root_of(document, place)
        if name != kind or not isinstance(content, Mapping):
            raise WriteRefused(f"document {place}", name, f"an object <{kind}>, as the first one is")
        contents.append(ordered({**_parties(kind, form), **content}, kind, _SEQUENCES, kind))
    prefix = _NAMESPACES[kind].split(":")[3]
    message: dict[str, Any] = {f"@xmlns:{prefix}": _NAMESPACES[kind], "@xmlns:sh": _HEADER_NAMESPACE}
    if form.envelope is not None:
        message[f"sh:{_HEADER}"] = _header(kind, form, numbers)
    return written({f"{prefix}:{kind}Message": {**message, kind: contents}}, form.encoding or "UTF-8")


def _parties(kind: str, form: Format) -> dict[str, Tree]:
    """Who sends a document to whom, where the mapping does not say: the GLNs of the envelope."""
    if form.envelope is None:
        return {}
    names = {"order": ("buyer", "seller"), "despatchAdvice": ("shipper", "receiver")}.get(kind, ())
    return {
        name: {"gln": party.id} for name, party in zip(names, (form.envelope.ours, form.envelope.theirs), strict=False)
    }


def _header(kind: str, form: Format, numbers: Numbers) -> dict[str, Tree]:
    assert form.envelope is not None
    if not isinstance(numbers.at, datetime):
        raise WriteRefused("numbers.at", repr(numbers.at), "the time of the message")

    def party(gln: str) -> dict[str, Tree]:
        if len(gln) != 13 or not gln.isdecimal():
            raise WriteRefused("envelope", gln, "a GLN of 13 digits")
        return {"sh:Identifier": {"@Authority": "GS1", "#text": gln}}

    return {
        "sh:HeaderVersion": "1.0",
        "sh:Sender": party(form.envelope.ours.id),
        "sh:Receiver": party(form.envelope.theirs.id),
        "sh:DocumentIdentification": {
            "sh:Standard": "GS1",
            "sh:TypeVersion": form.envelope.version or _VERSION,
            "sh:InstanceIdentifier": str(numbers.interchange),
            "sh:Type": kind[0].upper() + kind[1:],
            "sh:MultipleType": "false",
            "sh:CreationDateAndTime": numbers.at.isoformat(timespec="seconds"),
        },
    }
