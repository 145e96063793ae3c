using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Platform.Host.Blobs;

/// <summary>The file format: magic, an 8-byte random nonce prefix, then chunks of up to 64 KiB, each sealed with AES-256-GCM under
/// nonce = prefix + chunk number. The associated data says whether a chunk is the last, so cutting the file short is noticed.</summary>
internal static class SealedBlob
{
    public const int ChunkBytes = 64 * 1024;
    private const int TagBytes = 16;
    private static readonly byte[] Magic = "MLPBLOB1"u8.ToArray();

    public static SealingWriter Writer(Stream target, byte[] key) => new(target, key);

    public static Stream Reader(Stream source, byte[] key, string sha256) => new OpeningStream(source, key, sha256);

    private static void Nonce(Span<byte> nonce, ReadOnlySpan<byte> prefix, uint number)
    {
        prefix.CopyTo(nonce);
        BinaryPrimitives.WriteUInt32BigEndian(nonce[8..], number);
    }

    internal sealed class SealingWriter(Stream target, byte[] key) : IAsyncDisposable
    {
        private readonly AesGcm aes = new(key, TagBytes);
        private readonly byte[] prefix = RandomNumberGenerator.GetBytes(8);
        private readonly byte[] pending = new byte[ChunkBytes];
        private readonly byte[] output = new byte[ChunkBytes + TagBytes];
        private int filled;
        private uint number;

        public async Task WriteAsync(ReadOnlyMemory<byte> data, CancellationToken ct)
        {
            while (data.Length > 0)
            {
                // A full chunk is written only when more follows, so that the last chunk is known to be the last.
                if (filled == ChunkBytes) await SealAsync(last: false, ct);
                var take = Math.Min(data.Length, ChunkBytes - filled);
                data[..take].CopyTo(pending.AsMemory(filled));
                filled += take;
                data = data[take..];
            }
        }

        public Task CompleteAsync(CancellationToken ct) => SealAsync(last: true, ct);

        public ValueTask DisposeAsync()
        {
            aes.Dispose();
            return ValueTask.CompletedTask;
        }

        private async Task SealAsync(bool last, CancellationToken ct)
        {
            if (number == 0)
            {
                await target.WriteAsync(Magic, ct);
                await target.WriteAsync(prefix, ct);
            }

            Seal(last);
            await target.WriteAsync(output.AsMemory(0, filled + TagBytes), ct);
            filled = 0;
            number = checked(number + 1);
        }

        private void Seal(bool last)
        {
            Span<byte> nonce = stackalloc byte[12];
            Nonce(nonce, prefix, number);
            aes.Encrypt(nonce, pending.AsSpan(0, filled), output.AsSpan(0, filled), output.AsSpan(filled, TagBytes), [last ? (byte)1 : (byte)0]);
        }
    }

    private sealed class OpeningStream(Stream source, byte[] key, string sha256) : Stream
    {
        private readonly AesGcm aes = new(key, TagBytes);
        private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly byte[] prefix = new byte[8];
        // One byte more than a chunk, to see whether another follows.
        private readonly byte[] input = new byte[ChunkBytes + TagBytes + 1];
        private readonly byte[] plain = new byte[ChunkBytes];
        private int carried;
        private int start;
        private int end;
        private uint number;
        private bool last;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (start == end)
            {
                if (last) return 0;
                await FillAsync(cancellationToken);
            }

            var take = Math.Min(buffer.Length, end - start);
            plain.AsMemory(start, take).CopyTo(buffer);
            start += take;
            return take;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                aes.Dispose();
                hash.Dispose();
                source.Dispose();
            }

            base.Dispose(disposing);
        }

        private async Task FillAsync(CancellationToken ct)
        {
            if (number == 0)
            {
                var header = new byte[Magic.Length + prefix.Length];
                if (await source.ReadAtLeastAsync(header, header.Length, throwOnEndOfStream: false, ct) < header.Length || !header.AsSpan(0, Magic.Length).SequenceEqual(Magic)) throw Damaged();
                header.AsSpan(Magic.Length).CopyTo(prefix);
            }

            var available = carried + await source.ReadAtLeastAsync(input.AsMemory(carried), input.Length - carried, throwOnEndOfStream: false, ct);
            last = available < input.Length;
            var sealedBytes = last ? available : input.Length - 1;
            if (sealedBytes < TagBytes) throw Damaged();
            Open(sealedBytes - TagBytes);
            carried = last ? 0 : 1;
            if (carried == 1) input[0] = input[^1];
            (start, end) = (0, sealedBytes - TagBytes);
            number++;
            if (last && Convert.ToHexStringLower(hash.GetHashAndReset()) != sha256) throw Damaged();
        }

        private void Open(int length)
        {
            Span<byte> nonce = stackalloc byte[12];
            Nonce(nonce, prefix, number);
            try
            {
                aes.Decrypt(nonce, input.AsSpan(0, length), input.AsSpan(length, TagBytes), plain.AsSpan(0, length), [last ? (byte)1 : (byte)0]);
            }
            catch (AuthenticationTagMismatchException)
            {
                throw Damaged();
            }

            hash.AppendData(plain, 0, length);
        }

        private static InvalidDataException Damaged() => new("A stored blob is damaged or was changed on disk.");
    }
}
