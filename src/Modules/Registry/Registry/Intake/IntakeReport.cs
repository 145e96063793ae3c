using System.Text.Json.Serialization;

namespace Platform.Registry.Intake;

/// <summary>One thing that was noticed when a version was taken in.</summary>
/// <param name="Detail">A sentence for a person.</param>
/// <param name="Mend">What to do about it.</param>
internal sealed record Finding(string Code, string Detail, string? Mend = null);

/// <summary>What was noticed and measured when a version was taken in.</summary>
/// <param name="Quarantine">Why it is quarantined; empty when it is not.</param>
/// <param name="Warnings">What a person should know of a version that is not.</param>
/// <param name="Example">The run of its example; null where there was none.</param>
/// <param name="Signed">Whose signature it came with; null when with none that holds.</param>
/// <param name="FilesInlined">Whether data files beside the model were put into it.</param>
internal sealed record IntakeReport(
    IReadOnlyList<Finding> Quarantine, IReadOnlyList<Finding> Warnings, ExampleFacts? Example = null, SignedBy? Signed = null, bool FilesInlined = false)
{
    [JsonIgnore]
    public bool IsQuarantined => Quarantine.Count > 0;

    /// <summary>The reasons in one text.</summary>
    [JsonIgnore]
    public string Why => string.Join(" ", Quarantine.Select(f => $"{f.Detail} {f.Mend}".TrimEnd()));
}

internal enum ExampleOrigin
{
    /// <summary>It came with the upload.</summary>
    Given,
    /// <summary>It lay in the folder, as <c>input_example.json</c>.</summary>
    Folder,
    /// <summary>It was made up of zeros after the signature.</summary>
    Signature,
}

/// <summary>How the model did on its example, in a process of its own, as serving runs it.</summary>
/// <param name="MedianMs">Of <paramref name="Runs"/> runs after the first ones; null when it did not run.</param>
/// <param name="LoadMs">How long loading took.</param>
/// <param name="MemoryBytes">By how much loading and running it grew the process.</param>
/// <param name="DiskBytes">The artifact's size.</param>
/// <param name="Sha256">The example and its output, a JSON blob of the tenant; null when they were too large to keep, or there was no room.</param>
internal sealed record ExampleFacts(ExampleOrigin Origin, double? MedianMs, int Runs, double LoadMs, long MemoryBytes, long DiskBytes, string? Sha256);

/// <summary>A signature that held when the version was taken in.</summary>
/// <param name="Key">The key's name.</param>
/// <param name="Fingerprint">SHA-256 of the public key (SubjectPublicKeyInfo), which says which key it was if the name was used again.</param>
/// <param name="Signature">As it was sent, in base64.</param>
internal sealed record SignedBy(string Key, string Fingerprint, string Signature);
