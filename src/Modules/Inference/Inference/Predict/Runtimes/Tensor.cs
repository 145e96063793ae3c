using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>What one input or output of a model looks like; -1 in the shape is a dimension the request decides.</summary>
internal sealed record TensorLayout(string Name, Datatype Datatype, long[] Shape)
{
    public static TensorLayout Of(TensorSpec spec) => new(
        spec.Name,
        Datatypes.Parse(spec.Datatype) ?? throw new NotSupportedException($"Tensor '{spec.Name}' has the datatype {spec.Datatype}, which the protocol does not know."),
        [.. spec.Shape]);

    public bool HasFreeBatch => Shape is [< 0, ..];

    public override string ToString() => $"{Name} {Datatype.Name()} [{string.Join(",", Shape)}]";
}

/// <summary>One tensor's values in memory that does not move, so that a runtime reads and writes it in place. It is used again and again:
/// a request fills it, a model reads it, and the next request overwrites it without allocating. Not safe for two threads at once.</summary>
internal sealed class Tensor(TensorLayout layout) : IDisposable
{
    private const int LargestKept = 1 << 20;

    private byte[] data = [];
    private (int Start, int Length)[] texts = [];
    private int textEnd;

    public TensorLayout Layout { get; } = layout;

    public long[] Shape { get; private set; } = new long[layout.Shape.Length];

    /// <summary>How many elements there are now.</summary>
    public int Count { get; private set; }

    /// <summary>What the runtime keeps beside the tensor so as not to build it again; the tensor only disposes it.</summary>
    public IDisposable? Kept { get; set; }

    /// <summary>Memory it holds, filled or not.</summary>
    public int HeldBytes => data.Length + (texts.Length * 8);

    public bool IsText => Layout.Datatype is Datatype.Bytes;

    /// <summary>Where the values begin. Stays the same until the tensor grows.</summary>
    public nint Address => Marshal.UnsafeAddrOfPinnedArrayElement(data, 0);

    /// <summary>The values as they lie in memory (little-endian, row-major); not for texts.</summary>
    public Span<byte> Raw => data.AsSpan(0, Count * Layout.Datatype.Size());

    /// <summary><see cref="Raw"/>, for who sends it.</summary>
    public ReadOnlyMemory<byte> RawMemory => data.AsMemory(0, Count * Layout.Datatype.Size());

    /// <summary>Forgets the values and keeps the memory.</summary>
    public void Clear() => (Count, textEnd) = (0, 0);

    public void SetShape(params ReadOnlySpan<long> shape)
    {
        if (Shape.Length != shape.Length) Shape = new long[shape.Length];
        shape.CopyTo(Shape);
    }

    /// <summary>Makes room for <paramref name="count"/> elements; those there already keep their values.</summary>
    public void Resize(int count)
    {
        if (IsText)
        {
            if (texts.Length < count) Array.Resize(ref texts, Math.Max(count, texts.Length * 2));
            if (count > Count) Array.Clear(texts, Count, count - Count);
        }
        else
        {
            Room(checked(count * Layout.Datatype.Size()), Count * Layout.Datatype.Size());
        }
        Count = count;
    }

    /// <summary>Takes the shape and the values of another tensor of the same datatype.</summary>
    public void CopyFrom(Tensor other)
    {
        Clear();
        SetShape(other.Shape);
        Resize(other.Count);
        if (!IsText) other.Raw.CopyTo(Raw);
        else for (var i = 0; i < Count; i++) SetText(i, other.Text(i));
    }

    public Span<T> Values<T>() where T : unmanaged
    {
        var values = MemoryMarshal.Cast<byte, T>(data.AsSpan(0, Count * Layout.Datatype.Size()));
        return values;
    }

    /// <summary>Sets element <paramref name="index"/> without checking that <typeparamref name="T"/> is the tensor's type.</summary>
    public void Set<T>(int index, T value) where T : unmanaged => Values<T>()[index] = value;

    public ReadOnlySpan<byte> Text(int index) => data.AsSpan(texts[index].Start, texts[index].Length);

    public void SetText(int index, ReadOnlySpan<byte> text)
    {
        text.CopyTo(TextRoom(text.Length));
        TextWritten(index, text.Length);
    }

    /// <summary>Room for a text of at most this length; <see cref="TextWritten"/> then says how much of it was used.</summary>
    public Span<byte> TextRoom(int longest)
    {
        Room(checked(textEnd + longest), textEnd);
        return data.AsSpan(textEnd, longest);
    }

    public void TextWritten(int index, int length)
    {
        texts[index] = (textEnd, length);
        textEnd += length;
    }

    /// <summary>After a request of unusual size: lets go of memory the next one is unlikely to need.</summary>
    public void Shrink()
    {
        Clear();
        if (data.Length <= LargestKept && texts.Length <= LargestKept / 8) return;
        Kept?.Dispose();
        Kept = null;
        (data, texts) = ([], []);
    }

    public void Dispose()
    {
        Kept?.Dispose();
        Kept = null;
    }

    private void Room(int bytes, int used)
    {
        if (data.Length >= bytes && data.Length > 0) return;
        var larger = GC.AllocateUninitializedArray<byte>(Math.Max(Math.Max(64, bytes), (int)Math.Min(data.Length * 2L, Array.MaxLength)), pinned: true);
        Unsafe.CopyBlockUnaligned(ref MemoryMarshal.GetArrayDataReference(larger), ref MemoryMarshal.GetArrayDataReference(data), (uint)used);
        data = larger;
    }
}

/// <summary>The inputs and outputs of one run.</summary>
internal sealed class TensorSet : IDisposable
{
    public TensorSet(IReadOnlyList<TensorLayout> inputs, IReadOnlyList<TensorLayout> outputs)
    {
        Inputs = [.. inputs.Select(layout => new Tensor(layout))];
        Outputs = [.. outputs.Select(layout => new Tensor(layout))];
    }

    public Tensor[] Inputs { get; }

    public Tensor[] Outputs { get; }

    /// <summary>What the runtime keeps for the whole run; the set only disposes it.</summary>
    public IDisposable? Kept { get; set; }

    /// <summary>What a composite's members take and give in between, one for each; empty for any other model.</summary>
    public TensorSet[] Parts { get; set; } = [];

    /// <summary>Memory its tensors hold.</summary>
    public int HeldBytes
    {
        get
        {
            var bytes = 0;
            foreach (var tensor in Inputs) bytes += tensor.HeldBytes;
            foreach (var tensor in Outputs) bytes += tensor.HeldBytes;
            foreach (var part in Parts) bytes += part.HeldBytes;
            return bytes;
        }
    }

    public void Clear()
    {
        foreach (var tensor in Inputs) tensor.Shrink();
        foreach (var tensor in Outputs) tensor.Shrink();
        foreach (var part in Parts) part.Clear();
    }

    public void Dispose()
    {
        Kept?.Dispose();
        foreach (var tensor in Inputs) tensor.Dispose();
        foreach (var tensor in Outputs) tensor.Dispose();
        foreach (var part in Parts) part.Dispose();
    }
}
