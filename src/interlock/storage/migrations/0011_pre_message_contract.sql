-- What each message was read by, and what was said beside it: without both, the same bytes may be read otherwise later.
alter table messages
    add column contract text,
    add column context json;
