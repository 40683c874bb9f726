"""How a step is computed: order of work, precision, recording as a graph, memory."""
