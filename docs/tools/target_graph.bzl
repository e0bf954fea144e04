"""The graph of this workspace's targets, as Bazel's analysis sees it: which of them a build with the current settings uses.

Not genquery: it would load every alternative of every select(), and so fetch all toolkits and PyTorches.
"""

_GraphInfo = provider(
    doc = "The targets from which a target is made.",
    fields = {"edges": "depset of structs with `source`, `kind` (the source's rule) and `target`, all strings"},
)

# By which attributes one target is made from others.
_ATTRIBUTES = ["deps", "library", "modules", "packages"]

def _written(label):
    """A label as text: the main repository's the same in every dependency mode."""
    repository = "@" + label.repo_name if label.repo_name else ""
    return "{}//{}:{}".format(repository, label.package, label.name)

def _graph_aspect_impl(target, ctx):
    edges = []
    transitive = []
    if not target.label.repo_name:
        for name in _ATTRIBUTES:
            value = getattr(ctx.rule.attr, name, None) or []
            for dep in value if type(value) in ["dict", "list"] else [value]:
                edges.append(struct(
                    kind = ctx.rule.kind,
                    source = _written(target.label),
                    target = _written(dep.label),
                ))
                transitive.append(dep[_GraphInfo].edges)
    return [_GraphInfo(edges = depset(edges, transitive = transitive))]

_graph_aspect = aspect(
    implementation = _graph_aspect_impl,
    doc = "Collects the edges below a target, other repositories' left out.",
    attr_aspects = _ATTRIBUTES,
    provides = [_GraphInfo],
)

def _target_graph_impl(ctx):
    edges = depset(transitive = [root[_GraphInfo].edges for root in ctx.attr.roots]).to_list()
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, json.encode_indent(edges) + "\n")
    return DefaultInfo(files = depset([out]))

target_graph = rule(
    implementation = _target_graph_impl,
    doc = "Writes the graph below some targets as a JSON list of edges. Nothing is built.",
    attrs = {
        "roots": attr.label_list(aspects = [_graph_aspect], mandatory = True, doc = "Where the graph starts."),
    },
)
