namespace Platform.Registry.Lineage;

/// <summary>A thing that others are made from, or that is made from others.</summary>
internal enum LineageKind
{
    /// <summary><c>{model}/{number}</c></summary>
    Version,
    /// <summary><c>{tenant}/{model}/{number}</c>: of another tenant, who shared it.</summary>
    SharedVersion,
    /// <summary>The run's id.</summary>
    Run,
    /// <summary>The logged model's id.</summary>
    LoggedModel,
    /// <summary><c>{name}@{number}</c>, or <c>{name}#{digest}</c> of data that is not in the catalogue.</summary>
    Dataset,
    /// <summary>Its name.</summary>
    FeatureView,
    /// <summary>Its name.</summary>
    Endpoint,
    /// <summary>The revision's hash.</summary>
    Code,
}

/// <summary>What a thing is called in a lineage: <c>version:price/3</c>, <c>run:0198…</c>, <c>dataset:sales@2</c>.</summary>
internal readonly record struct LineageKey(LineageKind Kind, string Name)
{
    private static readonly (string Word, LineageKind Kind)[] Words =
    [
        ("version", LineageKind.Version), ("shared-version", LineageKind.SharedVersion), ("run", LineageKind.Run), ("logged-model", LineageKind.LoggedModel), ("dataset", LineageKind.Dataset),
        ("feature-view", LineageKind.FeatureView), ("endpoint", LineageKind.Endpoint), ("code", LineageKind.Code),
    ];

    public static string Kinds => string.Join(", ", Words.Select(word => word.Word));

    /// <summary>Null when it is none.</summary>
    public static LineageKey? Parse(string text) =>
        text.IndexOf(':') is > 0 and var colon && Words.FirstOrDefault(word => word.Word == text[..colon]) is { Word: not null } found && colon + 1 < text.Length
            ? new(found.Kind, text[(colon + 1)..])
            : null;

    public override string ToString()
    {
        var kind = Kind;
        return $"{Words.First(word => word.Kind == kind).Word}:{Name}";
    }
}

/// <param name="Id">What to ask for to see the lineage of this one.</param>
/// <param name="Detail">What else is worth knowing at a glance.</param>
/// <param name="Gone">It is named, and not there any more.</param>
/// <param name="Distance">How many steps from the thing that was asked about: below 0 what it was made from, above what was made from it.</param>
internal sealed record LineageNode(string Id, LineageKind Kind, string Title, string? Detail, bool Gone, int Distance);

/// <param name="From">What was made or uses.</param>
/// <param name="To">What it was made from or uses.</param>
/// <param name="Relation">In words that read from <paramref name="From"/> to <paramref name="To"/>, such as "trained on".</param>
internal sealed record LineageEdge(string From, string To, string Relation);

/// <param name="Truncated">There is more than is shown.</param>
internal sealed record LineageGraph(string Of, IReadOnlyList<LineageNode> Nodes, IReadOnlyList<LineageEdge> Edges, bool Truncated);

/// <summary>One step: the other thing, and how the one that was made is related to the one it was made from.</summary>
internal sealed record LineageStep(LineageKey Other, string Relation);

/// <summary>What is known of a thing itself, and one step in either direction.</summary>
/// <param name="Origins">What it was made from.</param>
/// <param name="Uses">What was made from it, or uses it.</param>
/// <param name="More">There are more uses than are named.</param>
internal sealed record LineageFacts(string Title, string? Detail, IReadOnlyList<LineageStep> Origins, IReadOnlyList<LineageStep> Uses, bool More);
