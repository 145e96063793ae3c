using MediatR;
using Platform.Kernel;

namespace Platform.Registry.Contracts;

/// <summary>What the artifact of a version is, and so which runtime serves it.</summary>
public enum ArtifactKind
{
    /// <summary>An ONNX file.</summary>
    Onnx,
    /// <summary>A saved ML.NET transformer (zip).</summary>
    MlNet,
    /// <summary>A description of a model that lives on another server of the Open Inference Protocol.</summary>
    Remote,
    /// <summary>A <see cref="CompositeDescriptor"/>: made of other versions.</summary>
    Composite,
    /// <summary>A folder of files in a format that is kept and given back, but not served.</summary>
    Folder,
}

/// <summary>Asked by the registry of whoever runs models, before it adds a version that lives elsewhere: whether it answers, and what it takes and gives.</summary>
/// <param name="Url">The server's address, http or https, without the protocol's <c>/v2</c>.</param>
/// <param name="Version">Null leaves the choice to the server.</param>
/// <param name="Credential">The name of a credential the operator has set up for that host; null sends none.</param>
public sealed record DescribeRemoteModel(string Url, string Model, string? Version, int TimeoutMs, string? Credential) : IRequest<Result<RemoteModelDescription>>;

/// <param name="Descriptor">The version's artifact: where the model is and what it was when it was added.</param>
/// <param name="Platform">What the server says it runs the model with.</param>
public sealed record RemoteModelDescription(byte[] Descriptor, ModelSignature Signature, string Platform);

/// <summary>The inspection of an uploaded ML.NET archive in a child process: the archive goes in, an <see cref="ArchiveDescription"/> as JSON comes out.</summary>
public static class ArchiveInspection
{
    /// <summary>The child work's name.</summary>
    public const string Work = "inspect-mlnet";

    /// <summary>Whether the file begins as a zip archive does.</summary>
    public static bool IsArchive(ReadOnlySpan<byte> file) => file.StartsWith("PK\x03\x04"u8);
}

/// <param name="PredictionOutput">The output that is the prediction.</param>
/// <param name="Steps">How often each kind of step occurs.</param>
public sealed record ArchiveDescription(ModelSignature Signature, string? PredictionOutput, string Producer, IReadOnlyDictionary<string, int> Steps);
