"""The state of every order by folding a file of events: a document {"id", "state"} for each that has any event by then.

fold_orders.py merge|summary FILE [UNTIL]
"""
import gzip
import json
import sys


def merge(state, event):
    return {**(state or {}), **event["event_data"]}


def summary(state, event):
    kind, what = event["event_type"].split(".")
    if what == "canceled":
        return None
    state = dict(state or {"payments": 0})
    if kind == "payment":
        state["payments"] += 1
    elif kind == "order":
        state["status"] = what
    elif kind == "review":
        state["score"] = event["event_data"]["score"]
    return state


fold = {"merge": merge, "summary": summary}[sys.argv[1]]
until = sys.argv[3] if len(sys.argv) > 3 else "9999"
states = {}
with gzip.open(sys.argv[2], "rt", encoding="utf-8") as lines:
    for line in lines:
        event = json.loads(line)
        if event["occurred_at"] <= until:
            order = event["aggregate_id"]
            states[order] = fold(states.get(order), event)
for order, state in states.items():
    print(json.dumps({"id": order, "state": state}))
