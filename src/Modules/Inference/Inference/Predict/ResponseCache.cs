using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predict;

/// <summary>Which question it was: of which tenant, and a hash of everything the outputs follow from. The hash is cryptographic, so that no input can be made to meet another's answer.</summary>
internal readonly record struct QuestionKey(string Tenant, UInt128 High, UInt128 Low);

/// <summary>Outputs of runs, kept for endpoints that ask for it. A hit takes the place of the run and of nothing else: it is limited, written down and billed like any prediction.
/// Bounded by bytes; the least recently used goes first.</summary>
internal sealed class ResponseCache(long maxBytes, TimeProvider time)
{
    private const int LargestKept = 256 << 10, Overhead = 256;

    private readonly Lock guard = new();
    private readonly Dictionary<QuestionKey, LinkedListNode<Remembered>> byKey = [];
    private readonly LinkedList<Remembered> byUse = new();
    private long bytes;

    /// <summary>Bytes it holds, about.</summary>
    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>Tenant, artifact, endpoint and plan version, wanted outputs, and the inputs as the model would see them: after features were added and gaps filled.</summary>
    public static QuestionKey KeyOf(PredictionWork work)
    {
        var (terms, inputs) = (work.Plan.Terms, work.Tensors.Inputs);
        var writer = new Canonical(256 + (work.Wanted.Length * 4) + inputs.Sum(input => 16 + (input.Shape.Length * 8) + (input.Count * 4) + input.HeldBytes));
        try
        {
            writer.Text(work.Plan.Version.ArtifactSha256);
            writer.Text(terms.Endpoint);
            writer.Number(terms.PlanVersion);
            writer.Number(work.Wanted.Length);
            foreach (var index in work.Wanted) writer.Number(index);
            foreach (var input in inputs)
            {
                writer.Number(input.Shape.Length);
                writer.Bytes(MemoryMarshal.AsBytes(input.Shape.AsSpan()));
                if (!input.IsText)
                {
                    writer.Bytes(input.Raw);
                    continue;
                }
                for (var i = 0; i < input.Count; i++)
                {
                    writer.Number(input.Text(i).Length);
                    writer.Bytes(input.Text(i));
                }
            }
            Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
            SHA256.HashData(writer.Written, hash);
            return new QuestionKey(terms.Tenant, BinaryPrimitives.ReadUInt128LittleEndian(hash), BinaryPrimitives.ReadUInt128LittleEndian(hash[16..]));
        }
        finally
        {
            writer.Dispose();
        }
    }

    /// <summary>Fills the wanted outputs with what was answered before; false when nothing was, or not lately.</summary>
    public bool TryFill(in QuestionKey key, PredictionWork work)
    {
        Remembered found;
        lock (guard)
        {
            if (!byKey.TryGetValue(key, out var node)) return false;
            if (time.GetUtcNow() >= node.Value.Until)
            {
                Forget(node);
                return false;
            }
            byUse.Remove(node);
            byUse.AddFirst(node);
            found = node.Value;
        }
        for (var i = 0; i < work.Wanted.Length; i++) found.Outputs[i].FillInto(work.Tensors.Outputs[work.Wanted[i]]);
        return true;
    }

    public void Remember(in QuestionKey key, PredictionWork work)
    {
        var outputs = Array.ConvertAll(work.Wanted, index => Output.Of(work.Tensors.Outputs[index]));
        var size = Overhead + outputs.Sum(output => output.Size);
        if (size > LargestKept || size > maxBytes) return;
        lock (guard)
        {
            if (byKey.TryGetValue(key, out var old)) Forget(old);
            byKey[key] = byUse.AddFirst(new Remembered(key, outputs, size, time.GetUtcNow().AddSeconds(work.Plan.Terms.CacheSeconds)));
            bytes += size;
            while (bytes > maxBytes) Forget(byUse.Last!);
        }
    }

    private void Forget(LinkedListNode<Remembered> node)
    {
        byKey.Remove(node.Value.Key);
        byUse.Remove(node);
        bytes -= node.Value.Size;
    }

    private sealed record Remembered(QuestionKey Key, Output[] Outputs, int Size, DateTimeOffset Until);

    /// <summary>One output's values: as they lie in memory, or texts.</summary>
    private sealed record Output(long[] Shape, byte[] Raw, byte[][] Texts)
    {
        public int Size => 96 + (Shape.Length * 8) + Raw.Length + Texts.Sum(text => 32 + text.Length);

        public static Output Of(Tensor tensor) => new([.. tensor.Shape], tensor.IsText ? [] : tensor.Raw.ToArray(),
            tensor.IsText ? [.. Enumerable.Range(0, tensor.Count).Select(i => tensor.Text(i).ToArray())] : []);

        public void FillInto(Tensor tensor)
        {
            tensor.Clear();
            tensor.SetShape(Shape);
            tensor.Resize(tensor.IsText ? Texts.Length : Raw.Length / tensor.Layout.Datatype.Size());
            if (!tensor.IsText) Raw.CopyTo(tensor.Raw);
            for (var i = 0; i < Texts.Length; i++) tensor.SetText(i, Texts[i]);
        }
    }

    /// <summary>The question as bytes of which no two questions have the same: every part has its length before it, or a fixed one.</summary>
    private ref struct Canonical(int most)
    {
        private readonly byte[] buffer = ArrayPool<byte>.Shared.Rent(most);
        private int length;

        public readonly ReadOnlySpan<byte> Written => buffer.AsSpan(0, length);

        public void Number(int value)
        {
            BinaryPrimitives.WriteInt32LittleEndian(buffer.AsSpan(length), value);
            length += 4;
        }

        public void Text(string value)
        {
            Number(value.Length);
            length += Encoding.UTF8.GetBytes(value, buffer.AsSpan(length));
        }

        public void Bytes(ReadOnlySpan<byte> value)
        {
            value.CopyTo(buffer.AsSpan(length));
            length += value.Length;
        }

        public readonly void Dispose() => ArrayPool<byte>.Shared.Return(buffer);
    }
}
