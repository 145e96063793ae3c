using System.Collections.Frozen;
using System.Text;
using System.Text.Json;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict;

/// <summary>One named column and the tensor it fills.</summary>
/// <param name="Input">Index of the tensor among the model's inputs.</param>
/// <param name="Required">Whether a row without it is refused: the model has not learnt what missing means, or the tensor cannot say it.</param>
internal sealed record PlanColumn(string Name, byte[] Utf8, ColumnKind Kind, bool Required, int Input, Datatype Datatype);

/// <summary>A tabular model's columns, found by their UTF-8 names without making strings of them.</summary>
internal sealed class PlanColumns
{
    private readonly FrozenDictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> byName;

    public PlanColumns(IReadOnlyList<ColumnSpec> specs, TensorLayout[] inputs)
    {
        All = [.. specs.Select(spec => Column(spec, inputs))];
        byName = All.Select((column, index) => KeyValuePair.Create(column.Utf8, index))
            .ToFrozenDictionary(new Utf8Names()).GetAlternateLookup<ReadOnlySpan<byte>>();
    }

    public PlanColumn[] All { get; }

    public int Count => All.Length;

    /// <summary>The column the reader's property names, or -1. Callers mostly send columns in one order, so <paramref name="expected"/> is looked at first.</summary>
    public int Find(ref Utf8JsonReader reader, int expected)
    {
        if (expected < All.Length && reader.ValueTextEquals(All[expected].Utf8)) return expected;
        var name = reader.ValueIsEscaped ? Encoding.UTF8.GetBytes(reader.GetString()!) : reader.ValueSpan;
        return byName.TryGetValue(name, out var index) ? index : -1;
    }

    private static PlanColumn Column(ColumnSpec spec, TensorLayout[] inputs)
    {
        var input = Array.FindIndex(inputs, layout => layout.Name == spec.Name);
        if (input < 0) throw new ModelLoadException($"the column '{spec.Name}' has no input tensor of that name");
        var type = inputs[input].Datatype;
        if (spec.Kind is ColumnKind.Category != type is Datatype.Bytes)
            throw new ModelLoadException($"the column '{spec.Name}' is a {spec.Kind}, but its tensor is of type {type.Name()}");
        var canBeMissing = type.IsFloat() || type is Datatype.Bytes;
        return new PlanColumn(spec.Name, Encoding.UTF8.GetBytes(spec.Name), spec.Kind, spec.Required || !canBeMissing, input, type);
    }

    private sealed class Utf8Names : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public bool Equals(byte[]? one, byte[]? other) => one.AsSpan().SequenceEqual(other);

        public int GetHashCode(byte[] name) => GetHashCode(name.AsSpan());

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
