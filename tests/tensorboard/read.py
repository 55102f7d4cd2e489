"""Prints what TensorBoard's own reader finds in the event files of a folder, as JSON."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0})
found.Reload()
tags = found.Tags()
histogram = lambda h: [h.min, h.max, h.num, h.sum, h.sum_squares, sum(h.bucket), len(h.bucket_limit)]
graph = found.Graph() if tags["graph"] else None
print(
    json.dumps(
        {
            "scalars": {tag: [[e.step, e.value] for e in found.Scalars(tag)] for tag in tags["scalars"]},
            "histograms": {
                tag: [[e.step] + histogram(e.histogram_value) for e in found.Histograms(tag)]
                for tag in tags["histograms"]
            },
            "nodes": {n.name: [n.op, list(n.input)] for n in graph.node} if graph else {},
        }
    )
)
