using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Reads an infer request of the Open Inference Protocol into tensors, in one pass when the members come in the usual order (data last),
/// and tolerating what real clients send: members in any order, unknown members and parameters, nested or flat data, bare NaN.</summary>
internal static class InferRequest
{
    private const int MaxDepth = 100, MaxRank = 16;

    public static Refusal? Read(ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (!Utf8.IsValid(body)) return Refusal.Invalid("not-utf8", "The body is not valid UTF-8.", null, "Encode the JSON as UTF-8.");
        var refusal = ReadStrict(body, work, out var malformed);
        if (!malformed || !BareNumbers.Quote(body, out var quoted)) return refusal;
        // Python clients write NaN and Infinity as they are. That is no JSON, but it is clear what is meant.
        try
        {
            foreach (var tensor in work.Tensors.Inputs) tensor.Clear();
            return ReadStrict(quoted.Span, work, out _);
        }
        finally
        {
            quoted.Dispose();
        }
    }

    private static Refusal? ReadStrict(ReadOnlySpan<byte> body, PredictionWork work, out bool malformed)
    {
        malformed = false;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        try
        {
            var refusal = ReadBody(ref reader, body, work);
            if (refusal is null) reader.Read();
            return refusal;
        }
        catch (JsonException failure)
        {
            malformed = true;
            return JsonRefusal.Of(body, reader.BytesConsumed, failure, null);
        }
        catch (InvalidOperationException)
        {
            return Refusal.Invalid("bad-text", $"A text at byte {reader.TokenStartIndex + 1} has an escape that is half of a character.", null, "Send whole characters (surrogates in pairs).");
        }
    }

    private static Refusal? ReadBody(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (!reader.Read() || reader.TokenType is not JsonTokenType.StartObject)
            return Refusal.Invalid("wrong-type", "The body is not a JSON object.", null, "Send {\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}.");
        Span<bool> given = stackalloc bool[Math.Min(work.Tensors.Inputs.Length, 1024)];
        if (work.Tensors.Inputs.Length > given.Length) given = new bool[work.Tensors.Inputs.Length];
        work.Wanted = work.Plan.AllOutputs;
        var hasInputs = false;
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            Refusal? refusal = null;
            if (reader.ValueTextEquals("inputs"u8))
            {
                if (hasInputs) return Refusal.Invalid("duplicate-member", "'inputs' is there twice.", "inputs", "Send it once.");
                hasInputs = true;
                refusal = ReadInputs(ref reader, body, work, given);
            }
            else if (reader.ValueTextEquals("outputs"u8))
            {
                refusal = ReadOutputs(ref reader, work);
            }
            else if (reader.ValueTextEquals("id"u8))
            {
                reader.Read();
                if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.Null) || reader.ValueSpan.Length > 1024)
                    return Refusal.Invalid("wrong-type", "'id' is not a text of at most 1024 bytes.", "id", "Send a short text, or leave it out.");
                work.RequestId = reader.GetString();
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
            if (refusal is not null) return refusal;
        }
        for (var i = 0; i < work.Tensors.Inputs.Length; i++)
        {
            if (given[i]) continue;
            var missing = work.Tensors.Inputs[i].Layout;
            return Refusal.Invalid("missing-input", $"The input '{missing.Name}' is missing.", missing.Name, $"The model takes: {string.Join("; ", work.Plan.Inputs.Take(20).Select(layout => layout.ToString()))}.");
        }
        var batch = Array.FindIndex(work.Plan.Inputs, layout => layout.HasFreeBatch);
        work.Units = batch < 0 ? 1 : (int)Math.Max(1, work.Tensors.Inputs[batch].Shape[0]);
        return null;
    }

    private static Refusal? ReadInputs(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, PredictionWork work, scoped Span<bool> given)
    {
        reader.Read();
        if (reader.TokenType is not JsonTokenType.StartArray) return Refusal.Invalid("wrong-type", "'inputs' is not a list of tensors.", "inputs", "Send a list.");
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (reader.TokenType is not JsonTokenType.StartObject) return Refusal.Invalid("wrong-type", "A member of 'inputs' is not an object.", "inputs", "Send {\"name\", \"shape\", \"datatype\", \"data\"}.");
            if (ReadInput(ref reader, body, work, given) is { } refusal) return refusal;
        }
        return null;
    }

    private static Refusal? ReadInput(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, PredictionWork work, scoped Span<bool> given)
    {
        string? name = null, datatype = null;
        Span<long> shape = stackalloc long[MaxRank];
        var (rank, dataAt, isRead) = (-1, -1, false);
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("name"u8))
            {
                reader.Read();
                if (reader.TokenType is not JsonTokenType.String) return Refusal.Invalid("wrong-type", "An input's 'name' is not a text.", "inputs", "Send the input's name.");
                // Known names are not made into strings again.
                name = KnownName(ref reader, work) ?? reader.GetString();
            }
            else if (reader.ValueTextEquals("datatype"u8))
            {
                reader.Read();
                if (reader.TokenType is not JsonTokenType.String) return Refusal.Invalid("wrong-type", "An input's 'datatype' is not a text.", name ?? "inputs", "Send a datatype such as FP32.");
                datatype = KnownType(ref reader, work) ?? reader.GetString();
            }
            else if (reader.ValueTextEquals("shape"u8))
            {
                if (ReadShape(ref reader, shape, name, out rank) is { } refusal) return refusal;
            }
            else if (reader.ValueTextEquals("data"u8))
            {
                reader.Read();
                dataAt = (int)reader.TokenStartIndex;
                if (name is not null && datatype is not null && rank >= 0)
                {
                    if (Find(name, datatype, shape[..rank], body.Length, work, given, out var tensor) is { } misfit) return misfit;
                    if (ReadData(ref reader, tensor!) is { } bad) return bad;
                    isRead = true;
                }
                else
                {
                    reader.Skip();
                }
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
        if (isRead) return null;
        var lacking = name is null ? "name" : datatype is null ? "datatype" : rank < 0 ? "shape" : dataAt < 0 ? "data" : null;
        if (lacking is not null) return Refusal.Invalid("missing-member", $"The input {(name is null ? "" : $"'{name}' ")}has no '{lacking}'.", name ?? "inputs", "Send name, shape, datatype and data.");
        if (Find(name!, datatype!, shape[..rank], body.Length, work, given, out var late) is { } unfit) return unfit;
        var again = new Utf8JsonReader(body[dataAt..], new JsonReaderOptions { MaxDepth = MaxDepth, AllowMultipleValues = true });
        again.Read();
        return ReadData(ref again, late!);
    }

    private static string? KnownName(ref Utf8JsonReader reader, PredictionWork work)
    {
        foreach (var layout in work.Plan.Inputs)
        {
            if (reader.ValueTextEquals(layout.Name)) return layout.Name;
        }
        return null;
    }

    private static string? KnownType(ref Utf8JsonReader reader, PredictionWork work)
    {
        foreach (var layout in work.Plan.Inputs)
        {
            if (reader.ValueTextEquals(layout.Datatype.Name())) return layout.Datatype.Name();
        }
        return null;
    }

    private static Refusal? ReadShape(ref Utf8JsonReader reader, scoped Span<long> shape, string? name, out int rank)
    {
        rank = 0;
        reader.Read();
        if (reader.TokenType is not JsonTokenType.StartArray) return Bad(name);
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (rank == MaxRank || reader.TokenType is not JsonTokenType.Number || !reader.TryGetInt64(out var size) || size < 0) return Bad(name);
            shape[rank++] = size;
        }
        return null;

        static Refusal Bad(string? name) => Refusal.Invalid("bad-shape", $"The shape of input {(name is null ? "" : $"'{name}' ")}is not a list of at most {MaxRank} whole numbers from 0 up.", name ?? "inputs", "Send a shape such as [1, 8].");
    }

    /// <summary>The tensor for this input, made ready for as many elements as its shape says.</summary>
    private static Refusal? Find(string name, string datatype, scoped ReadOnlySpan<long> shape, int bodyLength, PredictionWork work, scoped Span<bool> given, out Tensor? tensor)
    {
        tensor = null;
        var index = Array.FindIndex(work.Plan.Inputs, layout => layout.Name == name);
        if (index < 0) return Refusal.Invalid("unknown-input", $"The model has no input '{Short(name)}'.", Short(name), Nearest.Mend(name, [.. work.Plan.Inputs.Select(layout => layout.Name)]));
        var expected = work.Plan.Inputs[index];
        if (given[index]) return Refusal.Invalid("duplicate-input", $"The input '{name}' is there twice.", name, "Send each input once.");
        if (datatype != expected.Datatype.Name())
            return Refusal.Invalid("wrong-datatype", $"The input '{name}' is {Short(datatype)}; the model takes {expected.Datatype.Name()}.", name, $"Send {expected.Datatype.Name()}.");
        var fits = shape.Length == expected.Shape.Length;
        for (var i = 0; fits && i < shape.Length; i++) fits = expected.Shape[i] < 0 || expected.Shape[i] == shape[i];
        if (!fits)
            return Refusal.Invalid("wrong-shape", $"The input '{name}' has the shape [{string.Join(",", shape.ToArray())}]; the model takes [{string.Join(",", expected.Shape)}].", name, "Send that shape; -1 stands for any size.");
        long count = 1;
        foreach (var size in shape)
        {
            // Every element takes a byte of the body at least, so a larger product cannot be meant.
            if (size != 0 && count > bodyLength / size) return Mismatch(name, "more elements than the body can hold", "fewer");
            count *= size;
        }
        given[index] = true;
        tensor = work.Tensors.Inputs[index];
        tensor.SetShape(shape);
        tensor.Resize((int)count);
        return null;
    }

    /// <summary>Reads values from a value or a list, however nested, in row-major order.</summary>
    private static Refusal? ReadData(ref Utf8JsonReader reader, Tensor tensor)
    {
        var (depth, index) = (0, 0);
        do
        {
            if (reader.TokenType is JsonTokenType.StartArray)
            {
                depth++;
            }
            else if (reader.TokenType is JsonTokenType.EndArray)
            {
                depth--;
            }
            else
            {
                if (index == tensor.Count) return Mismatch(tensor.Layout.Name, $"{tensor.Count} elements", "more");
                if (!ReadElement(ref reader, tensor, index)) return WrongElement(ref reader, tensor, index);
                index++;
            }
        }
        while (depth > 0 && reader.Read());
        return index == tensor.Count ? null : Mismatch(tensor.Layout.Name, $"{tensor.Count} elements", index.ToString());
    }

    private static bool ReadElement(ref Utf8JsonReader reader, Tensor tensor, int index)
    {
        var type = tensor.Layout.Datatype;
        switch (reader.TokenType)
        {
            case JsonTokenType.Number when type is Datatype.FP32:
                if (!reader.TryGetSingle(out var single) || !float.IsFinite(single)) return false;
                tensor.Set(index, single);
                return true;
            case JsonTokenType.Number when type is Datatype.Int64 && reader.TryGetInt64(out var whole):
                tensor.Set(index, whole);
                return true;
            case JsonTokenType.Number when type is Datatype.UInt64 && reader.TryGetUInt64(out var whole):
                tensor.Set(index, whole);
                return true;
            case JsonTokenType.Number when type is not Datatype.Bytes:
                return reader.TryGetDouble(out var number) && Cells.TryNumber(tensor, index, number);
            case JsonTokenType.True or JsonTokenType.False when type is Datatype.Bool:
                tensor.Set(index, (byte)(reader.TokenType is JsonTokenType.True ? 1 : 0));
                return true;
            case JsonTokenType.String when type is Datatype.Bytes:
                if (reader.ValueIsEscaped) tensor.TextWritten(index, reader.CopyString(tensor.TextRoom(reader.ValueSpan.Length)));
                else tensor.SetText(index, reader.ValueSpan);
                return true;
            case JsonTokenType.String when type.IsFloat() && JsonRefusal.IsNonFinite(reader.ValueSpan):
                SetNonFinite(tensor, index, reader.ValueSpan[0] == '-' && reader.ValueSpan[1] == 'I' ? double.NegativeInfinity : reader.ValueSpan[0] == 'I' ? double.PositiveInfinity : double.NaN);
                return true;
            default:
                return false;
        }
    }

    private static void SetNonFinite(Tensor tensor, int index, double value)
    {
        switch (tensor.Layout.Datatype)
        {
            case Datatype.FP64: tensor.Set(index, value); break;
            case Datatype.FP16: tensor.Set(index, (Half)value); break;
            case Datatype.BF16: tensor.Set(index, BFloat16.Bits((float)value)); break;
            default: tensor.Set(index, (float)value); break;
        }
    }

    private static Refusal? ReadOutputs(ref Utf8JsonReader reader, PredictionWork work)
    {
        reader.Read();
        if (reader.TokenType is JsonTokenType.Null) return null;
        if (reader.TokenType is not JsonTokenType.StartArray) return Refusal.Invalid("wrong-type", "'outputs' is not a list.", "outputs", "Send a list of {\"name\"}, or leave it out for all.");
        List<int> wanted = [];
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (reader.TokenType is not JsonTokenType.StartObject) return Refusal.Invalid("wrong-type", "A member of 'outputs' is not an object.", "outputs", "Send {\"name\"}.");
            string? name = null;
            while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
            {
                var isName = reader.ValueTextEquals("name"u8);
                reader.Read();
                if (isName && reader.TokenType is JsonTokenType.String) name = reader.GetString();
                else reader.Skip();
            }
            if (name is null) return Refusal.Invalid("missing-member", "A member of 'outputs' has no 'name'.", "outputs", "Send {\"name\"}.");
            var index = Array.FindIndex(work.Plan.Outputs, layout => layout.Name == name);
            if (index < 0) return Refusal.Invalid("unknown-output", $"The model has no output '{Short(name)}'.", Short(name), Nearest.Mend(name, [.. work.Plan.Outputs.Select(layout => layout.Name)]));
            if (wanted.Contains(index)) return Refusal.Invalid("duplicate-output", $"The output '{name}' is asked for twice.", name, "Ask for it once.");
            wanted.Add(index);
        }
        if (wanted.Count > 0) work.Wanted = [.. wanted];
        return null;
    }

    private static Refusal Mismatch(string name, string promised, string got) =>
        Refusal.Invalid("wrong-count", $"The shape of input '{name}' promises {promised}; 'data' has {got}.", name, "Make shape and data agree.");

    private static Refusal WrongElement(ref Utf8JsonReader reader, Tensor tensor, int index)
    {
        var what = reader.TokenType is JsonTokenType.Number or JsonTokenType.String ? Short(Encoding.UTF8.GetString(reader.ValueSpan))
            : reader.TokenType is JsonTokenType.StartObject ? "an object" : reader.TokenType.ToString().ToLowerInvariant();
        return Refusal.Invalid("wrong-element", $"Element {index} of input '{tensor.Layout.Name}' is {what}, which is no {tensor.Layout.Datatype.Name()}.", tensor.Layout.Name, $"Send values that {tensor.Layout.Datatype.Name()} can hold.");
    }

    private static string Short(string text) => text.Length <= 80 ? text : text[..80] + "…";
}

/// <summary>JSON with bare NaN and Infinity in it, with those words put in quotes.</summary>
internal ref struct BareNumbers
{
    private byte[] buffer;
    private int length;

    public readonly ReadOnlySpan<byte> Span => buffer.AsSpan(0, length);

    /// <summary>False when there is nothing to quote; else the result is to be disposed.</summary>
    public static bool Quote(ReadOnlySpan<byte> json, out BareNumbers quoted)
    {
        quoted = default;
        if (json.IndexOf("NaN"u8) < 0 && json.IndexOf("Infinity"u8) < 0) return false;
        // At worst every third byte begins a word that grows by two.
        quoted.buffer = ArrayPool<byte>.Shared.Rent((json.Length * 2) + 8);
        var inText = false;
        for (var i = 0; i < json.Length; i++)
        {
            if (!inText && Word(json[i..]) is > 0 and var word)
            {
                quoted.Add((byte)'"');
                foreach (var letter in json.Slice(i, word)) quoted.Add(letter);
                quoted.Add((byte)'"');
                i += word - 1;
                continue;
            }
            quoted.Add(json[i]);
            if (inText && json[i] == '\\' && i + 1 < json.Length) quoted.Add(json[++i]);
            else if (json[i] == '"') inText = !inText;
        }
        return true;
    }

    public void Dispose()
    {
        if (buffer is not null) ArrayPool<byte>.Shared.Return(buffer);
        buffer = [];
    }

    private static int Word(ReadOnlySpan<byte> at) =>
        at.StartsWith("NaN"u8) ? 3 : at.StartsWith("-NaN"u8) ? 4 : at.StartsWith("Infinity"u8) ? 8 : at.StartsWith("-Infinity"u8) ? 9 : 0;

    private void Add(byte letter) => buffer[length++] = letter;
}
