using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Registry.Onnx;

/// <summary>Reads an uploaded ONNX file without trusting it. Whatever could reach outside the file, or needs code we do not have, is refused
/// by name before the native runtime sees a byte; then the runtime opens it once, so that a version which exists can be served.</summary>
internal static class OnnxInspector
{
    private const string Field = "file";

    /// <summary>Domains whose operators are part of ONNX Runtime itself.</summary>
    private static readonly HashSet<string> BuiltInDomains = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

    public static Result<InspectedModel> Inspect(byte[] file)
    {
        var parsed = Parse(file);
        if (parsed.Refusal is { } unreadable) return unreadable;
        var model = parsed.Value;

        var content = new OnnxContent(model, file.Length);
        if ((JudgeVersions(model) ?? content.Refusal ?? JudgeOperators(model, content) ?? JudgeNames(model.Graph)) is { } refusal) return refusal;

        var initialized = model.Graph.Initializer.Select(t => t.Name).ToHashSet();
        var inputs = Describe(model.Graph.Input.Where(i => !initialized.Contains(i.Name)), "input");
        if (inputs.Refusal is { } badInput) return badInput;
        var outputs = Describe(model.Graph.Output, "output");
        if (outputs.Refusal is { } badOutput) return badOutput;

        try
        {
            using var session = OnnxSession.Open(file);
            var signature = new ModelSignature(
                [.. inputs.Value.Select(i => new TensorSpec(i.Name, i.Datatype, i.Shape!))],
                [.. outputs.Value.Select(o => new TensorSpec(o.Name, o.Datatype, o.Shape ?? InferredShape(session, o.Name)))]);
            return new InspectedModel(signature, TabularColumns(signature), PredictionOutput(signature), Facts(model, content));
        }
        catch (OnnxRuntimeException failure)
        {
            return DoesNotLoad(failure, content);
        }
    }

    private static Result<OnnxModel> Parse(byte[] file)
    {
        OnnxModel model;
        try
        {
            model = OnnxModel.Parser.WithDiscardUnknownFields(true).ParseFrom(file);
        }
        catch (InvalidProtocolBufferException)
        {
            return Refusal.Invalid("not-onnx", "The file is not ONNX, or it is truncated, or it is nested too deep to read.", Field,
                "Send the whole .onnx file as bytes; compare its size and SHA-256 with the original.");
        }

        if (model.Graph is null || model.Graph.Node.Count == 0)
            return Refusal.Invalid("onnx-no-graph", "The file holds no ONNX graph.", Field,
                "Send a model in ONNX format (not a checkpoint, a pickle or the .ort format), as written by an exporter.");
        return model;
    }

    private static Refusal? JudgeVersions(OnnxModel model)
    {
        if (model.IrVersion is < OnnxLimits.MinIrVersion or > OnnxLimits.MaxIrVersion)
            return Refusal.Invalid("onnx-unknown-version",
                $"The file's ONNX version (ir_version) is {model.IrVersion}; {OnnxLimits.MinIrVersion} to {OnnxLimits.MaxIrVersion} can be served.",
                Field, $"Export again with ir_version {OnnxLimits.MaxIrVersion} or lower.");

        foreach (var opset in model.OpsetImport.Concat(model.Functions.SelectMany(f => f.OpsetImport)))
        {
            var (least, most) = DomainName(opset.Domain) switch
            {
                "ai.onnx" => (OnnxLimits.MinOpset, OnnxLimits.MaxOpset),
                "ai.onnx.ml" => (OnnxLimits.MinMlOpset, OnnxLimits.MaxMlOpset),
                _ => (0, int.MaxValue),
            };
            if (opset.Version < least || opset.Version > most)
                return Refusal.Invalid("onnx-unknown-opset",
                    $"The file uses operator set {opset.Version} of {DomainName(opset.Domain)}; {least} to {most} can be served.",
                    Field, $"Export again with operator set {most} or lower, or convert the file with onnx.version_converter.");
        }

        return model.OpsetImport.Any(o => o.Domain is "" or "ai.onnx") || model.Graph.Node.All(n => n.Domain is not ("" or "ai.onnx"))
            ? null
            : Refusal.Invalid("onnx-unknown-opset", "The file does not say which operator set of ai.onnx it uses.", Field,
                $"Export again and state an operator set of ai.onnx from {OnnxLimits.MinOpset} to {OnnxLimits.MaxOpset}.");
    }

    private static Refusal? JudgeOperators(OnnxModel model, OnnxContent content)
    {
        var own = model.Functions.Select(f => (f.Domain, f.Name)).ToHashSet();
        var foreign = content.Nodes.FirstOrDefault(n => !BuiltInDomains.Contains(n.Domain) && !own.Contains((n.Domain, n.OpType)));
        return foreign is null ? null
            : Refusal.Invalid("onnx-custom-operator",
                $"The file uses the operator '{Shown(foreign.OpType)}' of the domain '{Shown(foreign.Domain)}', which is not part of ONNX.", Field,
                "Export the model with standard operators only; custom operators would run foreign native code and are not loaded.");
    }

    private static Refusal? JudgeNames(OnnxGraph graph)
    {
        if (graph.Input.Count > OnnxLimits.MaxInputs || graph.Output.Count > OnnxLimits.MaxOutputs)
            return new Refusal(RefusalKind.TooLarge, "onnx-too-large",
                $"The model has {graph.Input.Count} inputs and {graph.Output.Count} outputs; at most {OnnxLimits.MaxInputs} and {OnnxLimits.MaxOutputs} can be served.",
                Field, "Join inputs into one tensor with a wider shape.");
        if (graph.Output.Count == 0)
            return Refusal.Invalid("onnx-no-output", "The model has no output.", Field, "Export the model with at least one output.");

        if (Repeated(graph.Input.Select(i => i.Name)) is { } input) return Duplicate("input", input);
        if (Repeated(graph.Output.Select(o => o.Name)) is { } output) return Duplicate("output", output);
        if (Repeated(graph.Initializer.Select(t => t.Name)) is { } constant) return Duplicate("constant", constant);
        if (Repeated(graph.Node.SelectMany(n => n.Output).Where(n => n.Length > 0).Concat(graph.Input.Select(i => i.Name))) is { } value)
            return Duplicate("value", value);

        var known = graph.Node.SelectMany(n => n.Output).Concat(graph.Input.Select(i => i.Name))
            .Concat(graph.Initializer.Select(t => t.Name)).Concat(graph.SparseInitializer.Select(t => t.Values?.Name ?? "")).ToHashSet();
        var orphan = graph.Output.FirstOrDefault(o => !known.Contains(o.Name));
        return orphan is null ? null
            : Refusal.Invalid("onnx-incomplete", $"Nothing in the graph computes its output '{Shown(orphan.Name)}': the file is incomplete.", Field,
                "Send the whole file; compare its size and SHA-256 with the original.");
    }

    /// <summary>Name, datatype and shape of each; the shape is null where the file gives none.</summary>
    private static Result<List<(string Name, string Datatype, long[]? Shape)>> Describe(IEnumerable<OnnxValue> values, string side)
    {
        var described = new List<(string, string, long[]?)>();
        foreach (var value in values)
        {
            if (value.Name.Length is 0 or > OnnxLimits.MaxNameLength)
                return Refusal.Invalid("onnx-bad-name", $"An {side} has no name or one longer than {OnnxLimits.MaxNameLength} characters.", Field, $"Give every {side} a short name.");
            if (value.Type?.Tensor is not { } tensor)
                return Refusal.Invalid("onnx-not-a-tensor", $"The {side} '{Shown(value.Name)}' is {Kind(value.Type)}; only dense tensors can be served.", Field,
                    side == "output" ? "Export with tensor outputs (for scikit-learn classifiers: options zipmap=False)." : "Export with tensor inputs.");
            if (Datatype(tensor.Element) is not { } datatype)
                return Refusal.Invalid("onnx-unsupported-datatype",
                    $"The {side} '{Shown(value.Name)}' has element type {tensor.Element}, which the Open Inference Protocol has no name for.", Field,
                    "Export with boolean, integer, floating point or string tensors.");
            if (tensor.Shape is null && side == "input")
                return Refusal.Invalid("onnx-no-shape", $"The input '{Shown(value.Name)}' has no shape.", Field, "Export with shapes; a dimension may be symbolic, such as the batch.");
            if (tensor.Shape?.Dim.Count > OnnxLimits.MaxRank)
                return Refusal.Invalid("onnx-too-large", $"The {side} '{Shown(value.Name)}' has {tensor.Shape.Dim.Count} dimensions; at most {OnnxLimits.MaxRank} can be served.", Field, "Export with fewer dimensions.");

            if (tensor.Shape is not null && !(OnnxContent.Elements(tensor.Shape.Dim.Select(d => Math.Max(1, d.Fixed))) <= OnnxLimits.MaxDenseBytes))
                return new Refusal(RefusalKind.TooLarge, "onnx-too-large", $"The {side} '{Shown(value.Name)}' declares a shape of more than {OnnxLimits.MaxDenseBytes:N0} elements.", Field, "Export with smaller shapes.");

            described.Add((value.Name, datatype, tensor.Shape is null ? null
                : [.. tensor.Shape.Dim.Select(d => d.ValueCase is OnnxShape.Types.Dim.ValueOneofCase.Fixed && d.Fixed >= 0 ? d.Fixed : -1)]));
        }

        return described;
    }

    /// <summary>The runtime infers most shapes an exporter left out; where it cannot, the shape is one free dimension.</summary>
    private static long[] InferredShape(InferenceSession session, string output)
    {
        var dimensions = session.OutputMetadata[output].Dimensions;
        return dimensions.Length == 0 ? [-1] : [.. dimensions.Select(d => d < 0 ? -1L : d)];
    }

    internal static List<ColumnSpec> TabularColumns(ModelSignature signature)
    {
        var columns = new List<ColumnSpec>();
        foreach (var input in signature.Inputs)
        {
            ColumnKind? kind = input.Datatype switch
            {
                "FP32" or "FP64" or "INT64" => ColumnKind.Number,
                "BOOL" => ColumnKind.Boolean,
                "BYTES" => ColumnKind.Category,
                _ => null,
            };
            if (kind is null || input.Shape is not [-1, 1]) return [];
            columns.Add(new ColumnSpec(input.Name, kind.Value, Required: true, Categories: [], Minimum: null, Maximum: null, Typical: null));
        }

        return columns;
    }

    internal static string? PredictionOutput(ModelSignature signature) =>
        signature.Outputs is [var only] ? only.Name : signature.Outputs.FirstOrDefault(o => o.Name == "prediction")?.Name;

    private static OnnxFacts Facts(OnnxModel model, OnnxContent content) => new(
        model.IrVersion,
        Shown($"{model.ProducerName} {model.ProducerVersion}".Trim()),
        model.OpsetImport.GroupBy(o => DomainName(o.Domain)).ToDictionary(g => Shown(g.Key), g => g.Max(o => o.Version)),
        content.Nodes.Count,
        content.Nodes.GroupBy(n => Shown(n.OpType)).OrderBy(g => g.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count()));

    /// <summary>The runtime's own text names its source files and ours: only its error code is passed on, in our words.</summary>
    private static Refusal DoesNotLoad(OnnxRuntimeException failure, OnnxContent content)
    {
        var why = failure.Message switch
        {
            var m when m.Contains("[ErrorCode:InvalidProtobuf]", StringComparison.Ordinal) => "it could not be read",
            var m when m.Contains("[ErrorCode:NotImplemented]", StringComparison.Ordinal) => "it needs an operator, or an operator on a datatype, that the runtime does not have",
            var m when content.Nodes.FirstOrDefault(n => m.Contains($"No Op registered for {n.OpType} ", StringComparison.Ordinal)) is { } unknown =>
                $"the operator '{Shown(unknown.OpType)}' of '{Shown(DomainName(unknown.Domain))}' does not exist in the operator set that the file names",
            var m when m.Contains("[ErrorCode:InvalidGraph]", StringComparison.Ordinal) => "its graph is not valid: an operator is unknown, or its inputs do not fit it",
            _ => "its graph, constants and shapes do not fit together",
        };
        return Refusal.Invalid("onnx-does-not-load", $"ONNX Runtime cannot load the file: {why}.", Field,
            "Check the file with onnx.checker.check_model(full_check=True) and load it once with ONNX Runtime on CPU before sending it.");
    }

    private static string? Repeated(IEnumerable<string> names)
    {
        var seen = new HashSet<string>();
        return names.FirstOrDefault(n => !seen.Add(n));
    }

    private static Refusal Duplicate(string what, string name) =>
        Refusal.Invalid("onnx-duplicate-name", $"The {what} name '{Shown(name)}' is used twice.", Field, "Export again with unique names.");

    private static string DomainName(string domain) => domain.Length == 0 ? "ai.onnx" : domain;

    /// <summary>Text out of a file that is not trusted, short and printable.</summary>
    internal static string Shown(string text) =>
        string.Concat((text.Length > 80 ? text[..80] + "…" : text).Select(c => char.IsControl(c) ? '?' : c));

    private static string Kind(OnnxType? type) => type?.ValueCase switch
    {
        OnnxType.ValueOneofCase.Sequence => "a sequence",
        OnnxType.ValueOneofCase.Map => "a map",
        OnnxType.ValueOneofCase.Optional => "optional",
        OnnxType.ValueOneofCase.SparseTensor => "a sparse tensor",
        OnnxType.ValueOneofCase.Opaque => "of an opaque type",
        _ => "without a type",
    };

    /// <summary>The Open Inference Protocol's names for ONNX element types; complex, 8-bit and smaller floats and 4-bit integers have none.</summary>
    private static string? Datatype(int element) => element switch
    {
        1 => "FP32",
        2 => "UINT8",
        3 => "INT8",
        4 => "UINT16",
        5 => "INT16",
        6 => "INT32",
        7 => "INT64",
        8 => "BYTES",
        9 => "BOOL",
        10 => "FP16",
        11 => "FP64",
        12 => "UINT32",
        13 => "UINT64",
        16 => "BF16",
        _ => null,
    };
}
