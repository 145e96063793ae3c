using System.Text.Json;
using System.Text.Json.Serialization;

namespace Platform.Registry.Contracts;

/// <summary>How a composite version makes its answer out of its members'.</summary>
public enum CompositeKind
{
    /// <summary>Each member takes what the one before it gave.</summary>
    Sequence,
    /// <summary>Every member answers the same question; the answer is their mean by weight.</summary>
    WeightedMean,
}

/// <summary>What a composite version is made of: its artifact, as JSON. Members are pinned, so it never changes either.</summary>
/// <param name="Tenant">Whose blob store the members' artifacts are in.</param>
public sealed record CompositeDescriptor(string Tenant, CompositeKind Kind, ModelSignature Signature, IReadOnlyList<CompositeMember> Members)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) } };

    /// <summary>The artifact's bytes.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    public static CompositeDescriptor Of(byte[] artifact) => JsonSerializer.Deserialize<CompositeDescriptor>(artifact, Json) ?? throw new JsonException("The artifact is empty.");
}

/// <summary>One member of a composite.</summary>
/// <param name="Kind">Which runtime serves it.</param>
/// <param name="Weight">Its share of the mean, of 1 for all together; 1 in a sequence.</param>
/// <param name="Inputs">Where each of its inputs comes from: an output of the member before it, or an input of the composite for the first of a sequence and for all of a mean.</param>
public sealed record CompositeMember(
    string Model, int Version, string ArtifactSha256, long ArtifactBytes, ArtifactKind Kind, double Weight, IReadOnlyDictionary<string, string> Inputs);
