using System.Text.Json;

namespace Platform.Registry.Contracts;

/// <summary>The trial of a model on an example in a child process: an <see cref="ExampleTask"/> and the artifact behind it go in, an
/// <see cref="ExampleResult"/> comes out. Whoever runs models does it, with what it serves them with.</summary>
public static class ExampleTrial
{
    /// <summary>The child work's name.</summary>
    public const string Work = "try-example";
}

/// <param name="Runs">How often it is run to be timed, after it ran twice.</param>
/// <param name="LargestOutput">The most output elements that are given back.</param>
public sealed record ExampleTask(ArtifactKind Kind, ModelSignature Signature, IReadOnlyList<ExampleTensor> Inputs, int Runs, int LargestOutput);

/// <param name="Data">The elements one after another, as a JSON array.</param>
public sealed record ExampleTensor(string Name, string Datatype, IReadOnlyList<long> Shape, JsonElement Data);

/// <param name="Outputs">Empty when they are too large, or when it failed.</param>
/// <param name="MedianMs">Of the timed runs; null when it failed.</param>
/// <param name="MemoryBytes">By how much the process grew, resident, from before the load to after the runs.</param>
/// <param name="Failure">Why it does not run, as the engine says it; null when it does.</param>
public sealed record ExampleResult(IReadOnlyList<ExampleTensor> Outputs, double? MedianMs, int Runs, double LoadMs, long MemoryBytes, string? Failure);
