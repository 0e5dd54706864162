-- Who takes delivery of an order, for the label: apart from the place that it is sourced for.

alter table orders add column recipient json;
