"""The edge: a small process in a store or a warehouse that takes what its systems send, and forwards it in order, once.

    settings   edge.yaml
    queue      the durable local queue, a SQLite file
    intake     HTTP from the systems of the house: queued, then answered at once
    folders    files that they drop: queued whole
    centre     one call to the centre, and what its answer means
    forward    from the queue to the centre: per stream in order, the backlog at its pace
    process    all of these together
    status     what people ask of it

It needs no PostgreSQL and none of the engine (docs/edge.md).
"""
