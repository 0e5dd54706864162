"""UBL 2.x: Order, OrderChange, OrderCancellation, OrderResponse, DespatchAdvice, ReceiptAdvice, and all others, by local names.

A document is found alone, in a StandardBusinessDocument (whose header is in the context), or one of several in any envelope.
What is written is UBL 2.1: mappings give plain names, and the prefixes, namespaces and order of elements are put in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from interlock.connectors.formats.document import Document, Flaw, Numbers, Tree, WriteRefused
from interlock.connectors.formats.xml_order import Sequence, ordered, sequence
from interlock.connectors.formats.xml_stream import elements
from interlock.connectors.formats.xml_write import root_of, written
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/xml"
_HEADERS: Final = frozenset({"StandardBusinessDocumentHeader"})
_KNOWN: Final = frozenset(
    {
        "Order",
        "OrderChange",
        "OrderCancellation",
        "OrderResponse",
        "OrderResponseSimple",
        "DespatchAdvice",
        "ReceiptAdvice",
    }
    | {"Invoice", "CreditNote", "InventoryReport", "ApplicationResponse", "Catalogue", "Quotation", "Waybill"}
    | {"StockAvailabilityReport", "FulfilmentCancellation", "TransportationStatus"}
)
_WRAPPERS: Final = frozenset(
    {"StandardBusinessDocument", "Envelope", "Body", "Documents", "Orders", "Batch", "Messages"}
)


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """Every document of a UBL file. Raises FormatUnreadable."""

    def wanted(name: str, depth: int) -> bool:
        return name in _KNOWN or (depth == 1 and name not in _WRAPPERS)

    found = elements(
        source, wanted=wanted, encoding=form.encoding, headers=_HEADERS, expected="a UBL document such as <Order> in it"
    )
    for element in found:
        if isinstance(element, Flaw):
            yield element
        else:
            yield Document(element.name, element.place, element.data, element.raw, element.context, element.notes)


# Writing

_AGGREGATES: Final = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
_BASICS: Final = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
_SCHEMA: Final = "urn:oasis:names:specification:ubl:schema:xsd"
_HEAD: Final = "UBLVersionID CustomizationID ProfileID ProfileExecutionID ID"

_SEQUENCES: Final[dict[str, Sequence]] = {
    "Order": sequence(
        f"{_HEAD} SalesOrderID CopyIndicator UUID IssueDate IssueTime OrderTypeCode Note"
        " RequestedInvoiceCurrencyCode DocumentCurrencyCode PricingCurrencyCode TaxCurrencyCode CustomerReference"
        " AccountingCostCode AccountingCost LineCountNumeric ValidityPeriod QuotationDocumentReference"
        " OrderDocumentReference OriginatorDocumentReference CatalogueReference AdditionalDocumentReference Contract"
        " ProjectReference Signature BuyerCustomerParty SellerSupplierParty OriginatorCustomerParty"
        " FreightForwarderParty AccountingCustomerParty Delivery DeliveryTerms PaymentMeans PaymentTerms"
        " TransactionConditions AllowanceCharge TaxExchangeRate PricingExchangeRate PaymentExchangeRate"
        " DestinationCountry TaxTotal AnticipatedMonetaryTotal OrderLine",
        "ID IssueDate BuyerCustomerParty SellerSupplierParty OrderLine",
    ),
    "OrderCancellation": sequence(
        f"{_HEAD} CopyIndicator UUID IssueDate IssueTime Note CancellationNote OrderReference"
        " OriginatorDocumentReference AdditionalDocumentReference Contract Signature BuyerCustomerParty"
        " SellerSupplierParty OriginatorCustomerParty",
        "ID IssueDate CancellationNote OrderReference BuyerCustomerParty SellerSupplierParty",
    ),
    "DespatchAdvice": sequence(
        f"{_HEAD} CopyIndicator UUID IssueDate IssueTime DocumentStatusCode DespatchAdviceTypeCode Note"
        " LineCountNumeric OrderReference AdditionalDocumentReference Signature DespatchSupplierParty"
        " DeliveryCustomerParty BuyerCustomerParty SellerSupplierParty OriginatorCustomerParty Shipment DespatchLine",
        "ID IssueDate DespatchSupplierParty DeliveryCustomerParty DespatchLine",
    ),
    "OrderLine": sequence(
        "SubstitutionStatusCode Note LineItem SellerProposedSubstituteLineItem SellerSubstitutedLineItem"
        " BuyerProposedSubstituteLineItem CatalogueLineReference QuotationLineReference OrderLineReference"
        " DocumentReference",
        "LineItem",
    ),
    "LineItem": sequence(
        "ID SalesOrderID UUID Note LineStatusCode Quantity LineExtensionAmount TotalTaxAmount MinimumQuantity"
        " MaximumQuantity MinimumBackorderQuantity MaximumBackorderQuantity InspectionMethodCode"
        " PartialDeliveryIndicator BackOrderAllowedIndicator AccountingCostCode AccountingCost WarrantyInformation"
        " Delivery DeliveryTerms OriginatorParty OrderedShipment PricingReference AllowanceCharge Price Item"
        " SubLineItem WarrantyValidityPeriod WarrantyParty TaxTotal ItemPriceExtension LineReference",
        "ID Item",
    ),
    "DespatchLine": sequence(
        "ID UUID Note LineStatusCode DeliveredQuantity BackorderQuantity BackorderReason OutstandingQuantity"
        " OutstandingReason OversupplyQuantity OrderLineReference DocumentReference Item Shipment",
        "ID OrderLineReference Item",
    ),
    "OrderLineReference": sequence("LineID SalesOrderLineID UUID LineStatusCode OrderReference", "LineID"),
    "OrderReference": sequence(
        "ID SalesOrderID CopyIndicator UUID IssueDate IssueTime CustomerReference OrderTypeCode DocumentReference", "ID"
    ),
    "Item": sequence(
        "Description PackQuantity PackSizeNumeric CatalogueIndicator Name HazardousRiskIndicator"
        " AdditionalInformation Keyword BrandName ModelName BuyersItemIdentification SellersItemIdentification"
        " ManufacturersItemIdentification StandardItemIdentification CatalogueItemIdentification"
        " AdditionalItemIdentification CatalogueDocumentReference ItemSpecificationDocumentReference OriginCountry"
        " CommodityClassification TransactionConditions HazardousItem ClassifiedTaxCategory AdditionalItemProperty"
        " ManufacturerParty InformationContentProviderParty OriginAddress ItemInstance Certificate Dimension"
    ),
    "Address": sequence(
        "ID AddressTypeCode AddressFormatCode Postbox Floor Room StreetName AdditionalStreetName BlockName"
        " BuildingName BuildingNumber InhouseMail Department MarkAttention MarkCare PlotIdentification"
        " CitySubdivisionName CityName PostalZone CountrySubentity CountrySubentityCode Region District"
        " TimezoneOffset AddressLine Country LocationCoordinate"
    ),
    "Party": sequence(
        "MarkCareIndicator MarkAttentionIndicator WebsiteURI LogoReferenceID EndpointID IndustryClassificationCode"
        " PartyIdentification PartyName Language PostalAddress PhysicalLocation PartyTaxScheme PartyLegalEntity"
        " Contact Person AgentParty ServiceProviderParty PowerOfAttorney FinancialAccount"
    ),
}
_SEQUENCES["DeliveryAddress"] = _SEQUENCES["PostalAddress"] = _SEQUENCES["Address"]


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001
    """One UBL document: `{Order: {...}}`, its elements by their plain names. A file holds one. Raises WriteRefused."""
    if len(documents) != 1:
        raise WriteRefused("documents", str(len(documents)), "one document: a UBL file holds no more")
    name, content = root_of(documents[0])
    if not isinstance(content, Mapping):
        raise WriteRefused(name, repr(content)[:80], "an object: the elements of the document")
    if name not in _KNOWN:
        raise WriteRefused("document 1", name, "the name of a UBL document, such as Order or DespatchAdvice")
    whole = ordered({"UBLVersionID": "2.1", **content}, name, _SEQUENCES, name)
    root: dict[str, Any] = {
        "@xmlns": f"{_SCHEMA}:{name}-2",
        "@xmlns:cac": _AGGREGATES,
        "@xmlns:cbc": _BASICS,
        **_prefixed(whole),
    }
    return written({name: root}, form.encoding or "UTF-8")


def _prefixed(content: Mapping[str, Tree]) -> dict[str, Tree]:
    """Names with their prefixes: what has elements in it is an aggregate (cac), everything else is basic (cbc)."""
    out: dict[str, Tree] = {}
    for name, value in content.items():
        if name[0] in "@#":
            out[name] = value
            continue
        entries = value if isinstance(value, list) else [value]
        aggregate = any(isinstance(each, Mapping) and any(key[0] not in "@#" for key in each) for each in entries)
        written_as = f"{'cac' if aggregate else 'cbc'}:{name}"
        out[written_as] = [_prefixed(each) if isinstance(each, Mapping) else each for each in entries]
    return out
