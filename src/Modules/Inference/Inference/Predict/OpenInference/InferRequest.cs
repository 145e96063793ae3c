using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Reads an infer request of the Open Inference Protocol into tensors, in one pass when the members come in the usual order (data last),
/// and tolerating what real clients send: members in any order, unknown members and parameters, nested or flat data, bare NaN.
/// Inputs may be in the JSON or, in the order in which they are named there, in the bytes that follow it.</summary>
internal static class InferRequest
{
    private const int MaxDepth = 100;

    /// <param name="binary">What follows the JSON.</param>
    public static Refusal? Read(ReadOnlySpan<byte> body, ReadOnlySpan<byte> binary, PredictionWork work)
    {
        if (!Utf8.IsValid(body)) return Refusal.Invalid("not-utf8", "The body is not valid UTF-8.", null, "Encode the JSON as UTF-8.");
        var refusal = ReadStrict(body, binary, work, out var malformed);
        if (!malformed || !BareNumbers.Quote(body, out var quoted)) return refusal;
        // Python clients write NaN and Infinity as they are. That is no JSON, but it is clear what is meant.
        try
        {
            foreach (var tensor in work.Tensors.Inputs) tensor.Clear();
            return ReadStrict(quoted.Span, binary, work, out _);
        }
        finally
        {
            quoted.Dispose();
        }
    }

    /// <summary>A body that is the bytes of the model's one input and nothing else; all outputs are answered as bytes.</summary>
    public static Refusal? ReadRaw(ReadOnlySpan<byte> body, PredictionWork work)
    {
        Span<bool> given = stackalloc bool[Math.Min(work.Tensors.Inputs.Length, 1)];
        var inputs = new GivenInputs(work, given);
        Ask(work, [], true);
        return inputs.OnlyRaw(body) ?? inputs.Complete();
    }

    private static Refusal? ReadStrict(ReadOnlySpan<byte> body, ReadOnlySpan<byte> binary, PredictionWork work, out bool malformed)
    {
        malformed = false;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        try
        {
            var refusal = ReadBody(ref reader, body, binary, work);
            if (refusal is null) reader.Read();
            return refusal;
        }
        catch (JsonException failure)
        {
            malformed = true;
            // An opening bracket counts once it is behind the reader.
            if (reader.CurrentDepth >= MaxDepth - 1) return Refusal.Invalid("too-deep", $"The JSON is nested deeper than {MaxDepth} at byte {reader.BytesConsumed + 1}.", null, "Send 'data' flat: the shape says how it is nested.");
            return JsonRefusal.Of(body, reader.BytesConsumed, failure, null);
        }
        catch (InvalidOperationException)
        {
            return Refusal.Invalid("bad-text", $"A text at byte {reader.TokenStartIndex + 1} has an escape that is half of a character.", null, "Send whole characters (surrogates in pairs).");
        }
    }

    private static Refusal? ReadBody(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, ReadOnlySpan<byte> binary, PredictionWork work)
    {
        if (!reader.Read() || reader.TokenType is not JsonTokenType.StartObject)
            return Refusal.Invalid("wrong-type", "The body is not a JSON object.", null, "Send {\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}.");
        Span<bool> given = stackalloc bool[Math.Min(work.Tensors.Inputs.Length, 1024)];
        if (work.Tensors.Inputs.Length > given.Length) given = new bool[work.Tensors.Inputs.Length];
        var inputs = new GivenInputs(work, given);
        var parameters = default(Parameters);
        var outputs = work.Asked;
        outputs.Clear();
        var hasInputs = false;
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            Refusal? refusal = null;
            if (reader.ValueTextEquals("inputs"u8))
            {
                if (hasInputs) return Refusal.Invalid("duplicate-member", "'inputs' is there twice.", "inputs", "Send it once.");
                hasInputs = true;
                refusal = ReadInputs(ref reader, body, ref binary, inputs);
            }
            else if (reader.ValueTextEquals("outputs"u8))
            {
                if (outputs.Count > 0) return Refusal.Invalid("duplicate-member", "'outputs' is there twice.", "outputs", "Send it once.");
                refusal = ReadOutputs(ref reader, work, outputs);
            }
            else if (reader.ValueTextEquals("id"u8))
            {
                reader.Read();
                if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.Null) || reader.ValueSpan.Length > 1024)
                    return Refusal.Invalid("wrong-type", "'id' is not a text of at most 1024 bytes.", "id", "Send a short text, or leave it out.");
                work.RequestId = reader.GetString();
            }
            else if (reader.ValueTextEquals("parameters"u8))
            {
                refusal = ReadParameters(ref reader, ref parameters) ?? SetTimeout(work, parameters);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
            if (refusal is not null) return refusal;
        }
        if (binary.Length > 0)
            return Refusal.Invalid("unexpected-data", $"{binary.Length:N0} bytes follow the JSON that no input claims.", "Inference-Header-Content-Length", "Give each input in binary its parameter 'binary_data_size'; together they are what follows the JSON.");
        Ask(work, outputs, parameters.BinaryDataOutput is true);
        return inputs.Complete();
    }

    /// <summary>None named is all of them.</summary>
    private static void Ask(PredictionWork work, List<(int Index, bool? Binary)> outputs, bool binary)
    {
        work.Wanted = outputs.Count == 0 ? work.Plan.AllOutputs : [.. outputs.Select(output => output.Index)];
        if (outputs.Count == 0 ? binary : outputs.Exists(output => output.Binary ?? binary))
            work.Binary = [.. work.Wanted.Select((_, i) => outputs.Count == 0 || (outputs[i].Binary ?? binary))];
    }

    private static Refusal? ReadInputs(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, ref ReadOnlySpan<byte> binary, scoped GivenInputs inputs)
    {
        reader.Read();
        if (reader.TokenType is not JsonTokenType.StartArray) return Refusal.Invalid("wrong-type", "'inputs' is not a list of tensors.", "inputs", "Send a list.");
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (reader.TokenType is not JsonTokenType.StartObject) return Refusal.Invalid("wrong-type", "A member of 'inputs' is not an object.", "inputs", "Send {\"name\", \"shape\", \"datatype\", \"data\"}.");
            if (ReadInput(ref reader, body, ref binary, inputs) is { } refusal) return refusal;
        }
        return null;
    }

    private static Refusal? ReadInput(ref Utf8JsonReader reader, ReadOnlySpan<byte> body, ref ReadOnlySpan<byte> binary, scoped GivenInputs inputs)
    {
        string? name = null, datatype = null;
        var (work, parameters) = (inputs.Work, default(Parameters));
        Span<long> shape = stackalloc long[GivenInputs.MaxRank];
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
                    // Every element takes a byte of the body at least.
                    if (inputs.Find(name, datatype, shape[..rank], body.Length, out var tensor) is { } misfit) return misfit;
                    if (ReadData(ref reader, tensor!) is { } bad) return bad;
                    isRead = true;
                }
                else
                {
                    reader.Skip();
                }
            }
            else if (reader.ValueTextEquals("parameters"u8))
            {
                if (ReadParameters(ref reader, ref parameters) is { } refusal) return refusal;
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
        if (parameters.BinaryDataSize is { } length) return ReadBinary(name, datatype, shape, rank, length, hasData: dataAt >= 0, ref binary, inputs);
        if (isRead) return null;
        var lacking = name is null ? "name" : datatype is null ? "datatype" : rank < 0 ? "shape" : dataAt < 0 ? "data" : null;
        if (lacking is not null) return Refusal.Invalid("missing-member", $"The input {(name is null ? "" : $"'{name}' ")}has no '{lacking}'.", name ?? "inputs", "Send name, shape, datatype and data.");
        if (inputs.Find(name!, datatype!, shape[..rank], body.Length, out var late) is { } unfit) return unfit;
        var again = new Utf8JsonReader(body[dataAt..], new JsonReaderOptions { MaxDepth = MaxDepth, AllowMultipleValues = true });
        again.Read();
        return ReadData(ref again, late!);
    }

    /// <summary>An input whose data is the next so many bytes behind the JSON.</summary>
    private static Refusal? ReadBinary(string? name, string? datatype, scoped Span<long> shape, int rank, long length, bool hasData, ref ReadOnlySpan<byte> binary, scoped GivenInputs inputs)
    {
        var lacking = name is null ? "name" : datatype is null ? "datatype" : rank < 0 ? "shape" : null;
        if (lacking is not null) return Refusal.Invalid("missing-member", $"The input {(name is null ? "" : $"'{name}' ")}has no '{lacking}'.", name ?? "inputs", "Send name, shape and datatype.");
        if (hasData) return Refusal.Invalid("duplicate-member", $"The input '{GivenInputs.Short(name!)}' has both 'data' and 'binary_data_size'.", name, "Send its values once.");
        if (length > binary.Length)
            return Refusal.Invalid("missing-data", $"The input '{GivenInputs.Short(name!)}' has a 'binary_data_size' of {length:N0}; {binary.Length:N0} bytes are left after the JSON.", name,
                "Send the bytes after the JSON, and say with the header Inference-Header-Content-Length how long the JSON is.");
        var bytes = binary[..(int)length];
        binary = binary[(int)length..];
        var most = Datatypes.Parse(datatype!) is { } type ? bytes.Length / TensorBytes.Least(type) : 0;
        return inputs.Find(name!, datatype!, shape[..rank], most, out var tensor) ?? TensorBytes.Read(bytes, tensor!);
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
            if (rank == GivenInputs.MaxRank || reader.TokenType is not JsonTokenType.Number || !reader.TryGetInt64(out var size) || size < 0) return Bad(name);
            shape[rank++] = size;
        }
        return null;

        static Refusal Bad(string? name) => Refusal.Invalid("bad-shape", $"The shape of input {(name is null ? "" : $"'{name}' ")}is not a list of at most {GivenInputs.MaxRank} whole numbers from 0 up.", name ?? "inputs", "Send a shape such as [1, 8].");
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
                if (index == tensor.Count) return GivenInputs.Mismatch(tensor.Layout.Name, $"{tensor.Count} elements", "more");
                if (!ReadElement(ref reader, tensor, index)) return WrongElement(ref reader, tensor, index);
                index++;
            }
        }
        while (depth > 0 && reader.Read());
        return index == tensor.Count ? null : GivenInputs.Mismatch(tensor.Layout.Name, $"{tensor.Count} elements", index.ToString());
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

    private static Refusal? ReadOutputs(ref Utf8JsonReader reader, PredictionWork work, List<(int Index, bool? Binary)> outputs)
    {
        reader.Read();
        if (reader.TokenType is JsonTokenType.Null) return null;
        if (reader.TokenType is not JsonTokenType.StartArray) return Refusal.Invalid("wrong-type", "'outputs' is not a list.", "outputs", "Send a list of {\"name\"}, or leave it out for all.");
        List<int> wanted = [];
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (reader.TokenType is not JsonTokenType.StartObject) return Refusal.Invalid("wrong-type", "A member of 'outputs' is not an object.", "outputs", "Send {\"name\"}.");
            string? name = null;
            var parameters = default(Parameters);
            while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("parameters"u8))
                {
                    if (ReadParameters(ref reader, ref parameters) is { } bad) return bad;
                    continue;
                }
                var isName = reader.ValueTextEquals("name"u8);
                reader.Read();
                if (isName && reader.TokenType is JsonTokenType.String) name = reader.GetString();
                else reader.Skip();
            }
            if (name is null) return Refusal.Invalid("missing-member", "A member of 'outputs' has no 'name'.", "outputs", "Send {\"name\"}.");
            var refusal = GivenInputs.FindOutput(work, name, wanted, out var index) ?? (parameters.Unserved is { } unserved ? GivenInputs.Unserved(unserved, name) : null);
            if (refusal is not null) return refusal;
            wanted.Add(index);
            outputs.Add((index, parameters.BinaryData));
        }
        return null;
    }

    /// <summary>Reads the few parameters that mean something here and passes over all others.</summary>
    private static Refusal? ReadParameters(ref Utf8JsonReader reader, ref Parameters parameters)
    {
        reader.Read();
        if (reader.TokenType is not JsonTokenType.StartObject)
        {
            reader.Skip();
            return null;
        }
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            var (isData, isOutput, isSize) = (reader.ValueTextEquals("binary_data"u8), reader.ValueTextEquals("binary_data_output"u8), reader.ValueTextEquals("binary_data_size"u8));
            if (reader.ValueTextEquals("classification"u8)) parameters.Unserved = "classification";
            if (reader.ValueTextEquals("shared_memory_region"u8)) parameters.Unserved = "shared_memory_region";
            var isTimeout = reader.ValueTextEquals("timeout"u8);
            reader.Read();
            if (isTimeout)
            {
                parameters.Timeout = reader.TokenType is JsonTokenType.Number && reader.TryGetUInt64(out var microseconds) ? microseconds : null;
                parameters.HasTimeout = true;
                reader.Skip();
            }
            else if (isSize)
            {
                if (reader.TokenType is not JsonTokenType.Number || !reader.TryGetInt64(out var size) || size < 0)
                    return Refusal.Invalid("wrong-type", "A 'binary_data_size' is not a whole number from 0 up.", "binary_data_size", "Send the length of the input's bytes.");
                parameters.BinaryDataSize = size;
            }
            else if (isData || isOutput)
            {
                if (reader.TokenType is not (JsonTokenType.True or JsonTokenType.False))
                    return Refusal.Invalid("wrong-type", $"'{(isData ? "binary_data" : "binary_data_output")}' is neither true nor false.", isData ? "binary_data" : "binary_data_output", "Send true or false.");
                var value = reader.TokenType is JsonTokenType.True;
                if (isData) parameters.BinaryData = value;
                else parameters.BinaryDataOutput = value;
            }
            else
            {
                reader.Skip();
            }
        }
        return null;
    }

    /// <summary>A request's own; of inputs and outputs it means nothing.</summary>
    private static Refusal? SetTimeout(PredictionWork work, Parameters parameters)
    {
        if (!parameters.HasTimeout) return null;
        if (parameters.Timeout is not { } microseconds) return GivenInputs.BadTimeout;
        work.Timeout = GivenInputs.Timeout(microseconds);
        return null;
    }

    private static Refusal WrongElement(ref Utf8JsonReader reader, Tensor tensor, int index)
    {
        var what = reader.TokenType is JsonTokenType.Number or JsonTokenType.String ? GivenInputs.Short(Encoding.UTF8.GetString(reader.ValueSpan))
            : reader.TokenType is JsonTokenType.StartObject ? "an object" : reader.TokenType.ToString().ToLowerInvariant();
        return Refusal.Invalid("wrong-element", $"Element {index} of input '{tensor.Layout.Name}' is {what}, which is no {tensor.Layout.Datatype.Name()}.", tensor.Layout.Name, $"Send values that {tensor.Layout.Datatype.Name()} can hold.");
    }

    private record struct Parameters(bool? BinaryData, bool? BinaryDataOutput, long? BinaryDataSize, string? Unserved, bool HasTimeout, ulong? Timeout);
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
