using Platform.Registry.Contracts;

namespace Platform.Registry.Onnx;

/// <summary>What a model file says of itself, after it was judged safe and was opened once.</summary>
/// <param name="Columns">Named input columns when every input is one column of a table; else empty.</param>
/// <param name="PredictionOutput">The only output, or the one called <c>prediction</c>; null when neither is so.</param>
internal sealed record InspectedModel(ModelSignature Signature, IReadOnlyList<ColumnSpec> Columns, string? PredictionOutput, OnnxFacts Facts, ArtifactKind Kind = ArtifactKind.Onnx);

/// <summary>Facts for a person who wants to know what is inside.</summary>
/// <param name="Producer">The tool that wrote the file, with its version, as the file says.</param>
/// <param name="Opsets">Operator sets by domain; <c>ai.onnx</c> for the empty one.</param>
/// <param name="Nodes">Operators in the graph, those in its branches and functions too.</param>
/// <param name="Operators">How often each operator occurs.</param>
internal sealed record OnnxFacts(
    long IrVersion, string Producer, IReadOnlyDictionary<string, long> Opsets, int Nodes, IReadOnlyDictionary<string, int> Operators);
