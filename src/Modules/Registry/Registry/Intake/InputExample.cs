using System.Text.Json;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Registry.Intake;

/// <summary>An example of what a model takes, as people write them down: a request of the Open Inference Protocol, inputs by name, or a table as MLflow's
/// <c>input_example.json</c> holds it (columns and data, or a list of rows).</summary>
internal static class InputExample
{
    public const int LargestBytes = 1 << 20;

    private const int MostElements = 1 << 22;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 32 };

    public static Result<IReadOnlyList<ExampleTensor>> Read(byte[] json, ModelSignature signature)
    {
        JsonElement root;
        try
        {
            root = JsonDocument.Parse(json, Options).RootElement;
        }
        catch (JsonException)
        {
            return Unfit("it is not JSON.");
        }

        List<ExampleTensor> tensors = [];
        foreach (var input in signature.Inputs)
        {
            if (ValueOf(root, input.Name, signature.Inputs.Count == 1) is not { } value) return Unfit($"it has no value for the input '{Onnx.OnnxInspector.Shown(input.Name)}'.");
            List<object?> elements = [];
            List<long> shape = [];
            if (Flatten(value.Value, 0, shape, elements) is { } bent) return Unfit($"the value for '{Onnx.OnnxInspector.Shown(input.Name)}' {bent}.");
            if (Fit(value.Shape ?? shape, input.Shape, elements.Count) is not { } fitting)
                return Unfit($"the value for '{Onnx.OnnxInspector.Shown(input.Name)}' has the shape [{string.Join(", ", value.Shape ?? shape)}], and the model takes [{string.Join(", ", input.Shape)}].");
            tensors.Add(new(input.Name, input.Datatype, fitting, JsonSerializer.SerializeToElement(elements)));
        }

        return tensors;
    }

    /// <summary>Zeros and empty texts in the declared shapes, with 1 for what is free; null when that would be too much.</summary>
    public static IReadOnlyList<ExampleTensor>? MadeUp(ModelSignature signature)
    {
        List<ExampleTensor> tensors = [];
        foreach (var input in signature.Inputs)
        {
            long[] shape = [.. input.Shape.Select(d => d < 0 ? 1 : d)];
            var count = Onnx.OnnxContent.Elements(shape);
            if (count > MostElements) return null;
            tensors.Add(new(input.Name, input.Datatype, shape, JsonSerializer.SerializeToElement(Enumerable.Repeat<object?>(
                input.Datatype switch { "BYTES" => "", "BOOL" => false, _ => 0 }, (int)count))));
        }

        return tensors;
    }

    private sealed record Given(JsonElement Value, IReadOnlyList<long>? Shape = null);

    private static Given? ValueOf(JsonElement root, string input, bool isOnly)
    {
        if (root.ValueKind is JsonValueKind.Array) return OfRows(root, input, isOnly) ?? (isOnly ? new(root) : null);
        if (root.ValueKind is not JsonValueKind.Object) return isOnly ? new(root) : null;
        foreach (var wrapper in new[] { "inputs", "dataframe_split", "dataframe_records", "instances" })
        {
            if (root.TryGetProperty(wrapper, out var inner)) return wrapper is "inputs" && OfProtocol(inner, input) is { } tensor ? tensor : ValueOf(inner, input, isOnly);
        }

        if (root.TryGetProperty("columns", out var columns) && root.TryGetProperty("data", out var data) && columns.ValueKind is JsonValueKind.Array && data.ValueKind is JsonValueKind.Array)
        {
            var names = columns.EnumerateArray().Select(c => c.ToString()).ToList();
            var at = names.IndexOf(input);
            if (at < 0) return isOnly ? new(data) : null;
            return data.EnumerateArray().All(row => row.ValueKind is JsonValueKind.Array && row.GetArrayLength() > at) ? new(Column(data.EnumerateArray().Select(row => row[at]))) : null;
        }

        return root.TryGetProperty(input, out var value) ? new(value) : isOnly && root.TryGetProperty("data", out var only) ? new(only) : null;
    }

    /// <summary>Tensors by name, each with its shape and its values one after another.</summary>
    private static Given? OfProtocol(JsonElement inputs, string input)
    {
        if (inputs.ValueKind is not JsonValueKind.Array) return null;
        foreach (var tensor in inputs.EnumerateArray())
        {
            if (tensor.ValueKind is JsonValueKind.Object && tensor.TryGetProperty("name", out var name) && name.ValueKind is JsonValueKind.String && name.GetString() == input
                && tensor.TryGetProperty("data", out var data) && tensor.TryGetProperty("shape", out var shape) && shape.ValueKind is JsonValueKind.Array
                && shape.EnumerateArray().All(d => d.ValueKind is JsonValueKind.Number && d.TryGetInt64(out _)))
            {
                return new(data, [.. shape.EnumerateArray().Select(d => d.GetInt64())]);
            }
        }

        return null;
    }

    /// <summary>A table as a list of rows with their columns' names.</summary>
    private static Given? OfRows(JsonElement rows, string input, bool isOnly)
    {
        if (rows.GetArrayLength() == 0 || rows.EnumerateArray().Any(row => row.ValueKind is not JsonValueKind.Object)) return null;
        if (rows.EnumerateArray().All(row => row.TryGetProperty(input, out _))) return new(Column(rows.EnumerateArray().Select(row => row.GetProperty(input))));
        // All columns together are the only input.
        return isOnly ? new(JsonSerializer.SerializeToElement(rows.EnumerateArray().Select(row => row.EnumerateObject().Select(c => c.Value)))) : null;
    }

    private static JsonElement Column(IEnumerable<JsonElement> values) => JsonSerializer.SerializeToElement(values);

    private static string? Flatten(JsonElement value, int depth, List<long> shape, List<object?> elements)
    {
        if (value.ValueKind is JsonValueKind.Array)
        {
            if (depth > Onnx.OnnxLimits.MaxRank) return "is nested too deep";
            if (shape.Count == depth) shape.Add(value.GetArrayLength());
            else if (shape[depth] != value.GetArrayLength()) return "has rows of different lengths";
            foreach (var item in value.EnumerateArray())
            {
                if (Flatten(item, depth + 1, shape, elements) is { } bent) return bent;
            }

            return null;
        }

        if (depth != shape.Count) return "has rows of different depths";
        if (elements.Count == MostElements) return $"has more than {MostElements:N0} elements";
        elements.Add(value.ValueKind switch
        {
            JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null => value,
            _ => null,
        });
        return null;
    }

    /// <summary>The shape to send: a single value or a plain list is taken for the column or the row it must be.</summary>
    private static long[]? Fit(IReadOnlyList<long> given, IReadOnlyList<long> wanted, int count)
    {
        foreach (IEnumerable<long> shape in new[] { given, given.Append(1), given.Prepend(1), given.Prepend(1).Append(1) })
        {
            long[] candidate = [.. shape];
            if (candidate.Length == wanted.Count && candidate.Zip(wanted).All(d => d.Second < 0 || d.First == d.Second) && candidate.All(d => d >= 0) && Onnx.OnnxContent.Elements(candidate) == count) return candidate;
        }

        return null;
    }

    private static Refusal Unfit(string why) => Refusal.Invalid("example-does-not-fit", $"The input example does not fit the model: {why}", "example",
        "Send the inputs by name, {\"inputs\": {\"x\": [[1.0]]}}, or a table, {\"columns\": [\"x\"], \"data\": [[1.0]]}.");
}
