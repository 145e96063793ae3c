using System.Text;
using System.Text.Unicode;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Reads a ModelInferRequest (open_inference.proto) from its bytes into tensors: each tensor is copied once, and a hostile message makes no objects.</summary>
internal static class InferMessage
{
    // The message's own field numbers.
    private const int ModelName = 1, ModelVersion = 2, Id = 3, RequestParameter = 4, Input = 5, Output = 6, RawInput = 7;

    /// <summary>Which endpoint and version it is for; a refusal when it is no message.</summary>
    public static Result<(string Endpoint, string Version)> Address(ReadOnlySpan<byte> message)
    {
        try
        {
            var (endpoint, version) = ("", "");
            var reader = new WireReader(message);
            while (reader.Next(out var field, out var type))
            {
                if (field is ModelName) endpoint = Text(reader.Bytes(type));
                else if (field is ModelVersion) version = Text(reader.Bytes(type));
                else reader.Skip(type);
            }
            return (endpoint, version);
        }
        catch (InvalidDataException)
        {
            return Malformed;
        }
    }

    public static Refusal? Read(ReadOnlySpan<byte> message, PredictionWork work)
    {
        try
        {
            return ReadFields(message, work);
        }
        catch (InvalidDataException)
        {
            return Malformed;
        }
    }

    private static Refusal? ReadFields(ReadOnlySpan<byte> message, PredictionWork work)
    {
        List<int> outputs = [];
        List<(int Start, int Length)> raws = [];
        var (inputs, most) = (0, work.Plan.Inputs.Length);
        var reader = new WireReader(message);
        while (reader.Next(out var field, out var type))
        {
            switch (field)
            {
                case Id:
                    var id = reader.Bytes(type);
                    if (id.Length > 1024) return Refusal.Invalid("wrong-type", "'id' is longer than 1024 bytes.", "id", "Send a short text, or leave it out.");
                    work.RequestId = id.Length == 0 ? null : Text(id);
                    break;
                case RequestParameter:
                    if (ReadParameter(reader.Bytes(type), work) is { } bad) return bad;
                    break;
                case Input:
                    reader.Skip(type);
                    inputs++;
                    break;
                case Output:
                    if (ReadOutput(reader.Bytes(type), work, outputs) is { } refusal) return refusal;
                    break;
                case RawInput:
                    var raw = reader.Bytes(type);
                    if (raws.Count == most) return Refusal.Invalid("unexpected-data", $"There are more raw_input_contents than the model's {most} inputs.", "raw_input_contents", "Send one for each input.");
                    message.Overlaps(raw, out var start);
                    raws.Add((start, raw.Length));
                    break;
                default:
                    reader.Skip(type);
                    break;
            }
        }
        work.Wanted = outputs.Count == 0 ? work.Plan.AllOutputs : [.. outputs];
        if (raws.Count > 0 && raws.Count != inputs)
            return Refusal.Invalid("wrong-count", $"There are {inputs} inputs and {raws.Count} raw_input_contents.", "raw_input_contents", "Send one for each input, or none and all values in 'contents'.");

        Span<bool> given = stackalloc bool[Math.Min(most, 1024)];
        return ReadInputs(message, raws, new GivenInputs(work, most > given.Length ? new bool[most] : given));
    }

    private static Refusal? ReadInputs(ReadOnlySpan<byte> message, List<(int Start, int Length)> raws, scoped GivenInputs inputs)
    {
        var index = 0;
        var reader = new WireReader(message);
        while (reader.Next(out var field, out var type))
        {
            if (field is not Input)
            {
                reader.Skip(type);
                continue;
            }
            var input = reader.Bytes(type);
            var refusal = raws.Count == 0 ? ReadInput(input, default, false, inputs) : ReadInput(input, message.Slice(raws[index].Start, raws[index].Length), true, inputs);
            if (refusal is not null) return refusal;
            index++;
        }
        return inputs.Complete();
    }

    private static Refusal? ReadInput(ReadOnlySpan<byte> input, ReadOnlySpan<byte> raw, bool isRaw, scoped GivenInputs inputs)
    {
        var (name, datatype) = ("", "");
        Span<long> shape = stackalloc long[GivenInputs.MaxRank];
        var (rank, hasContents) = (0, false);
        ReadOnlySpan<byte> contents = default;
        var reader = new WireReader(input);
        while (reader.Next(out var field, out var type))
        {
            switch (field)
            {
                case 1: name = Text(reader.Bytes(type)); break;
                case 2: datatype = Text(reader.Bytes(type)); break;
                case 3 when type is WireType.Varint:
                    if (!TryAdd((long)reader.Varint(), shape, ref rank)) return BadShape(name);
                    break;
                case 3:
                    for (var sizes = new WireReader(reader.Bytes(type)); !sizes.IsAtEnd;)
                    {
                        if (!TryAdd((long)sizes.Varint(), shape, ref rank)) return BadShape(name);
                    }
                    break;
                case 5:
                    if (hasContents) return Refusal.Invalid("duplicate-member", $"The input '{GivenInputs.Short(name)}' has 'contents' twice.", name, "Send them once.");
                    contents = reader.Bytes(type);
                    hasContents = true;
                    break;
                default: reader.Skip(type); break;
            }
        }
        if (isRaw && contents.Length > 0)
            return Refusal.Invalid("duplicate-member", $"The input '{GivenInputs.Short(name)}' has 'contents', and there are raw_input_contents.", name, "Send all inputs raw, or none.");
        if (!isRaw && Datatypes.Parse(datatype) is { } sent && List(sent) is null)
            return Refusal.Invalid("only-raw", $"The input '{GivenInputs.Short(name)}' is {datatype}, which 'contents' cannot hold.", name, "Send all inputs in raw_input_contents.");
        // Every element takes a byte of a packed list at least, and as many as its type when it is raw.
        var least = isRaw && Datatypes.Parse(datatype) is { } known ? TensorBytes.Least(known) : 1;
        if (inputs.Find(name, datatype, shape[..rank], (isRaw ? raw : contents).Length / least, out var tensor) is { } misfit) return misfit;
        return isRaw ? TensorBytes.Read(raw, tensor!) : ReadContents(contents, tensor!);
    }

    private static bool TryAdd(long size, scoped Span<long> shape, ref int rank)
    {
        if (size < 0 || rank == shape.Length) return false;
        shape[rank++] = size;
        return true;
    }

    private static Refusal BadShape(string name) =>
        Refusal.Invalid("bad-shape", $"The shape of input '{GivenInputs.Short(name)}' is not a list of at most {GivenInputs.MaxRank} whole numbers from 0 up.", name, "Send a shape such as [1, 8].");

    private static Refusal? ReadContents(ReadOnlySpan<byte> contents, Tensor tensor)
    {
        var list = List(tensor.Layout.Datatype)!.Value;
        var index = 0;
        var reader = new WireReader(contents);
        while (reader.Next(out var field, out var type))
        {
            if (field != list.Field)
            {
                reader.Skip(type);
                continue;
            }
            // A list of numbers is packed into one field, or (as old writers do) each has a field of its own.
            if (type is not WireType.Bytes || tensor.IsText)
            {
                if (!ReadElement(ref reader, type, tensor, ref index)) return Wrong(tensor, index, list.Name);
                continue;
            }
            for (var packed = new WireReader(reader.Bytes()); !packed.IsAtEnd;)
            {
                if (!ReadElement(ref packed, list.Packed, tensor, ref index)) return Wrong(tensor, index, list.Name);
            }
        }
        return index == tensor.Count ? null
            : Refusal.Invalid("wrong-count", $"The shape of input '{tensor.Layout.Name}' promises {tensor.Count} elements; {list.Name} has {index}.", tensor.Layout.Name, $"Send {tensor.Layout.Datatype.Name()} values in {list.Name}, and make their number and the shape agree.");
    }

    /// <summary>False when there is no room for it, or its value does not fit.</summary>
    private static bool ReadElement(ref WireReader reader, WireType type, Tensor tensor, ref int index)
    {
        if (index == tensor.Count) return false;
        switch (tensor.Layout.Datatype)
        {
            case Datatype.Bytes: tensor.SetText(index, reader.Bytes(type)); break;
            case Datatype.FP32 when type is WireType.Fixed32: tensor.Set(index, reader.Fixed<float>()); break;
            case Datatype.FP64 when type is WireType.Fixed64: tensor.Set(index, reader.Fixed<double>()); break;
            case Datatype.Bool when type is WireType.Varint: tensor.Set(index, (byte)(reader.Varint() == 0 ? 0 : 1)); break;
            case Datatype.Int64 or Datatype.UInt64 when type is WireType.Varint: tensor.Set(index, reader.Varint()); break;
            case Datatype.Int32 or Datatype.Int16 or Datatype.Int8 when type is WireType.Varint:
                if (!Cells.TryNumber(tensor, index, (int)reader.Varint())) return false;
                break;
            case Datatype.UInt32 or Datatype.UInt16 or Datatype.UInt8 when type is WireType.Varint:
                if (!Cells.TryNumber(tensor, index, (uint)reader.Varint())) return false;
                break;
            default: throw new InvalidDataException("The list is of another type.");
        }
        index++;
        return true;
    }

    private static (int Field, string Name, WireType Packed)? List(Datatype type) => type switch
    {
        Datatype.Bool => (1, "bool_contents", WireType.Varint),
        Datatype.Int8 or Datatype.Int16 or Datatype.Int32 => (2, "int_contents", WireType.Varint),
        Datatype.Int64 => (3, "int64_contents", WireType.Varint),
        Datatype.UInt8 or Datatype.UInt16 or Datatype.UInt32 => (4, "uint_contents", WireType.Varint),
        Datatype.UInt64 => (5, "uint64_contents", WireType.Varint),
        Datatype.FP32 => (6, "fp32_contents", WireType.Fixed32),
        Datatype.FP64 => (7, "fp64_contents", WireType.Fixed64),
        Datatype.Bytes => (8, "bytes_contents", WireType.Bytes),
        _ => null,
    };

    private static Refusal Wrong(Tensor tensor, int index, string list) => index == tensor.Count
        ? Refusal.Invalid("wrong-count", $"The shape of input '{tensor.Layout.Name}' promises {tensor.Count} elements; {list} has more.", tensor.Layout.Name, "Make their number and the shape agree.")
        : Refusal.Invalid("wrong-element", $"Element {index} of input '{tensor.Layout.Name}' does not fit {tensor.Layout.Datatype.Name()}.", tensor.Layout.Name, $"Send values that {tensor.Layout.Datatype.Name()} can hold.");

    private static Refusal? ReadOutput(ReadOnlySpan<byte> output, PredictionWork work, List<int> wanted)
    {
        string name = "", unserved = "";
        var reader = new WireReader(output);
        while (reader.Next(out var field, out var type))
        {
            if (field == 1)
            {
                name = Text(reader.Bytes(type));
            }
            else if (field == 2)
            {
                var parameter = Key(reader.Bytes(type));
                if (GivenInputs.Unserved(parameter, "") is not null) unserved = parameter;
            }
            else
            {
                reader.Skip(type);
            }
        }
        if (GivenInputs.Unserved(unserved, name) is { } refusal) return refusal;
        if (GivenInputs.FindOutput(work, name, wanted, out var index) is { } unfound) return unfound;
        wanted.Add(index);
        return null;
    }

    /// <summary>The request's own parameters: one means something here, the others are passed over.</summary>
    private static Refusal? ReadParameter(ReadOnlySpan<byte> entry, PredictionWork work)
    {
        if (Key(entry) is not "timeout") return null;
        ulong? microseconds = null;
        for (var reader = new WireReader(entry); reader.Next(out var field, out var type);)
        {
            if (field != 2)
            {
                reader.Skip(type);
                continue;
            }
            for (var value = new WireReader(reader.Bytes(type)); value.Next(out var kind, out var of);)
            {
                // int64_param and uint64_param; a negative one is more than any whole number from 0 up.
                if (kind is 2 or 5 && of is WireType.Varint && value.Varint() is <= long.MaxValue and var whole) microseconds = whole;
                else return GivenInputs.BadTimeout;
            }
        }
        if (microseconds is not { } given) return GivenInputs.BadTimeout;
        work.Timeout = GivenInputs.Timeout(given);
        return null;
    }

    /// <summary>The key of a map's entry.</summary>
    private static string Key(ReadOnlySpan<byte> entry)
    {
        var key = "";
        var reader = new WireReader(entry);
        while (reader.Next(out var field, out var type))
        {
            if (field == 1) key = Text(reader.Bytes(type));
            else reader.Skip(type);
        }
        return key;
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw new InvalidDataException("A text is not UTF-8.");

    private static Refusal Malformed => Refusal.Invalid("malformed-message", "The bytes are no ModelInferRequest: they are cut short, or a field has another type than the protocol says.", null, "Make the message with the protocol's definitions (open_inference.proto).");
}
