using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Where a model lives that is not here, and what it was when it was added: the artifact of a remote version.</summary>
/// <param name="Url">Without the protocol's <c>/v2</c>.</param>
/// <param name="Binary">Whether the server takes tensors as bytes (the protocol's extension <c>binary_tensor_data</c>).</param>
/// <param name="Credential">Its name; the value is no part of the artifact and is looked up when the model is loaded.</param>
internal sealed record RemoteDescriptor(string Tenant, Uri Url, string Model, string? Version, int TimeoutMs, string? Credential, bool Binary, ModelSignature Signature)
{
    public Uri Address(string what = "") =>
        new($"{Url.AbsoluteUri.TrimEnd('/')}/v2/models/{Uri.EscapeDataString(Model)}{(Version is null ? "" : $"/versions/{Uri.EscapeDataString(Version)}")}{what}");
}

/// <summary>Models on other servers of the Open Inference Protocol.</summary>
internal sealed class RemoteEngine(RemoteHttp http, TimeProvider time) : IModelRuntime
{
    public ArtifactKind Kind => ArtifactKind.Remote;

    public string Placement => "another server";

    public Task<ILoadedModel> LoadAsync(byte[] artifact) => Task.Run<ILoadedModel>(() => Load(artifact));

    private RemoteModel Load(byte[] artifact)
    {
        var descriptor = JsonSerializer.Deserialize<RemoteDescriptor>(artifact) ?? throw new ModelLoadException("its description is empty");
        string? authorization = null;
        if (descriptor.Credential is { } name && (authorization = http.Credential(name, descriptor.Url.Host, descriptor.Tenant, out var why)) is null) throw new ModelLoadException(why!);
        return new RemoteModel(descriptor, authorization, http, time);
    }
}

/// <summary>One model on another server. A connection that cannot be made is tried again; once something may have been sent it is not, because the other
/// server may be computing already. After several failures in a row the server is left alone for a while.</summary>
internal sealed class RemoteModel(RemoteDescriptor descriptor, string? authorization, RemoteHttp http, TimeProvider time) : IRemoteModel
{
    private const int Attempts = 3;
    private const int LongestAnswer = 64 << 20;
    private const string HeaderLength = "Inference-Header-Content-Length";

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);

    private readonly Breaker breaker = new(time);
    private readonly Uri address = descriptor.Address("/infer");

    public ModelSignature Signature => descriptor.Signature;

    public void WarmUp(RunSeat seat)
    {
    }

    public void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat) => throw new InvalidOperationException("A remote model is called, not run.");

    public async Task CallAsync(TensorSet set, int[] wanted, CancellationToken ct)
    {
        if (!breaker.MayTry()) throw new ModelRunException(RunFailure.Unreachable, "The server failed several times in a row and is left alone for a few seconds.");
        var (body, headerLength) = Write(set, wanted);
        using var limit = new CancellationTokenSource(TimeSpan.FromMilliseconds(descriptor.TimeoutMs), time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        try
        {
            using var response = await SendAsync(body, headerLength, either.Token);
            var answer = await ReadAsync(response, either.Token);
            if (!response.IsSuccessStatusCode) throw Refused(response.StatusCode, answer);
            var header = response.Headers.TryGetValues(HeaderLength, out var given) && int.TryParse(given.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) ? length : answer.Length;
            Read(answer, header, set, wanted);
            breaker.Succeeded();
        }
        catch (ModelRunException failure)
        {
            if (failure.Failure is RunFailure.Failed) breaker.Succeeded();
            else breaker.Failed();
            throw;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            breaker.Failed();
            throw new ModelRunException(RunFailure.TimedOut, $"There was no answer within {descriptor.TimeoutMs} ms.");
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException or JsonException or FormatException or OverflowException)
        {
            breaker.Failed();
            throw new ModelRunException(RunFailure.Unreachable, failure.InnerException?.Message ?? failure.Message, failure);
        }
    }

    public void Dispose()
    {
    }

    private async Task<HttpResponseMessage> SendAsync(ReadOnlyMemory<byte> body, int headerLength, CancellationToken ct)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new ReadOnlyMemoryContent(body) };
            request.Content.Headers.ContentType = new(descriptor.Binary ? "application/octet-stream" : "application/json");
            if (descriptor.Binary) request.Headers.Add(HeaderLength, headerLength.ToString(CultureInfo.InvariantCulture));
            if (authorization is not null) request.Headers.TryAddWithoutValidation("Authorization", authorization);
            try
            {
                return await http.SendAsync(request, ct);
            }
            catch (HttpRequestException failure) when (attempt < Attempts && failure is { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError, InnerException: not ForbiddenAddressException })
            {
                await Task.Delay(FirstPause * (1 << (attempt - 1)), time, ct);
            }
        }
    }

    /// <summary>What is the inputs' fault is told apart from what is the server's.</summary>
    private static ModelRunException Refused(HttpStatusCode status, ReadOnlySpan<byte> answer) =>
        new(status is HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity or HttpStatusCode.RequestEntityTooLarge ? RunFailure.Failed : RunFailure.Unreachable,
            $"The server answered {(int)status}: {Encoding.UTF8.GetString(answer[..Math.Min(answer.Length, 500)])}");

    private (ReadOnlyMemory<byte> Body, int HeaderLength) Write(TensorSet set, int[] wanted)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartArray("inputs"u8);
            foreach (var input in set.Inputs)
            {
                json.WriteStartObject();
                json.WriteString("name"u8, input.Layout.Name);
                json.WriteStartArray("shape"u8);
                foreach (var size in input.Shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteString("datatype"u8, input.Layout.Datatype.Name());
                if (descriptor.Binary)
                {
                    json.WriteStartObject("parameters"u8);
                    json.WriteNumber("binary_data_size"u8, ByteLength(input));
                    json.WriteEndObject();
                }
                else
                {
                    json.WriteStartArray("data"u8);
                    TensorJson.Write(json, input, 0, input.Count);
                    json.WriteEndArray();
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartArray("outputs"u8);
            foreach (var index in wanted)
            {
                json.WriteStartObject();
                json.WriteString("name"u8, set.Outputs[index].Layout.Name);
                if (descriptor.Binary)
                {
                    json.WriteStartObject("parameters"u8);
                    json.WriteBoolean("binary_data"u8, true);
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        var headerLength = buffer.WrittenCount;
        if (descriptor.Binary)
        {
            foreach (var input in set.Inputs) WriteBytes(buffer, input);
        }
        return (buffer.WrittenMemory, headerLength);
    }

    private static int ByteLength(Tensor tensor)
    {
        if (!tensor.IsText) return tensor.Raw.Length;
        var length = 0;
        for (var i = 0; i < tensor.Count; i++) length = checked(length + 4 + tensor.Text(i).Length);
        return length;
    }

    /// <summary>Texts have their length before them, four bytes, little-endian.</summary>
    private static void WriteBytes(ArrayBufferWriter<byte> buffer, Tensor tensor)
    {
        if (!tensor.IsText)
        {
            buffer.Write(tensor.Raw);
            return;
        }
        for (var i = 0; i < tensor.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(buffer.GetSpan(4), tensor.Text(i).Length);
            buffer.Advance(4);
            buffer.Write(tensor.Text(i));
        }
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage response, CancellationToken ct)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(ct);
        using var whole = new MemoryStream();
        var chunk = new byte[16 << 10];
        int read;
        while ((read = await stream.ReadAsync(chunk, ct)) > 0)
        {
            if (whole.Length + read > LongestAnswer) throw new IOException($"The answer is larger than {LongestAnswer:N0} bytes.");
            whole.Write(chunk, 0, read);
        }
        return whole.ToArray();
    }

    private static void Read(byte[] answer, int headerLength, TensorSet set, int[] wanted)
    {
        if (headerLength > answer.Length) throw new IOException("The answer is shorter than its header says.");
        using var document = JsonDocument.Parse(answer.AsMemory(0, headerLength));
        if (!document.RootElement.TryGetProperty("outputs", out var outputs) || outputs.ValueKind is not JsonValueKind.Array) throw new IOException("The answer has no outputs.");
        var at = headerLength;
        var filled = 0;
        foreach (var given in outputs.EnumerateArray())
        {
            var size = given.TryGetProperty("parameters", out var parameters) && parameters.TryGetProperty("binary_data_size", out var bytes) ? bytes.GetInt32() : -1;
            if (size > answer.Length - at) throw new IOException("The answer is shorter than its outputs say.");
            var name = given.GetProperty("name").GetString();
            var index = Array.Find(wanted, candidate => set.Outputs[candidate].Layout.Name == name);
            var tensor = set.Outputs[index];
            if (tensor.Layout.Name == name)
            {
                Shape(given, tensor, answer.Length);
                if (size >= 0) ReadBytes(answer.AsSpan(at, size), tensor);
                else ReadData(given.GetProperty("data"), tensor);
                filled++;
            }
            if (size > 0) at += size;
        }
        if (filled != wanted.Length) throw new IOException($"The answer has {filled} of the {wanted.Length} outputs that were asked for.");
    }

    private static void Shape(JsonElement given, Tensor tensor, int answerLength)
    {
        if (given.GetProperty("datatype").GetString() != tensor.Layout.Datatype.Name()) throw new IOException($"The output '{tensor.Layout.Name}' is {given.GetProperty("datatype")} and not {tensor.Layout.Datatype.Name()}, as it was when the version was added.");
        long[] shape = [.. given.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())];
        var count = 1L;
        foreach (var size in shape)
        {
            // Every element takes a byte of the answer at least.
            if (size < 0 || (size > 0 && count > answerLength / size)) throw new IOException($"The shape of the output '{tensor.Layout.Name}' promises more than the answer holds.");
            count *= size;
        }
        tensor.Clear();
        tensor.SetShape(shape);
        tensor.Resize((int)count);
    }

    private static void ReadBytes(ReadOnlySpan<byte> bytes, Tensor tensor)
    {
        if (!tensor.IsText)
        {
            if (bytes.Length != tensor.Raw.Length) throw new IOException($"The output '{tensor.Layout.Name}' has {bytes.Length} bytes and not {tensor.Raw.Length}.");
            bytes.CopyTo(tensor.Raw);
            return;
        }
        for (var i = 0; i < tensor.Count; i++)
        {
            var length = bytes.Length < 4 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(bytes);
            if (length < 0 || length > bytes.Length - 4) throw new IOException($"The texts of the output '{tensor.Layout.Name}' are cut short.");
            tensor.SetText(i, bytes.Slice(4, length));
            bytes = bytes[(4 + length)..];
        }
    }

    private static void ReadData(JsonElement data, Tensor tensor)
    {
        var index = 0;
        Fill(data);
        if (index != tensor.Count) throw new IOException($"The output '{tensor.Layout.Name}' has {index} elements and not {tensor.Count}.");

        void Fill(JsonElement element)
        {
            if (element.ValueKind is JsonValueKind.Array)
            {
                foreach (var member in element.EnumerateArray()) Fill(member);
            }
            else if (index >= tensor.Count || !Set(element, tensor, index++))
            {
                throw new IOException($"The output '{tensor.Layout.Name}' holds something that is no {tensor.Layout.Datatype.Name()}.");
            }
        }
    }

    private static bool Set(JsonElement element, Tensor tensor, int index)
    {
        switch (element.ValueKind, tensor.Layout.Datatype)
        {
            case (JsonValueKind.String, Datatype.Bytes): tensor.SetText(index, Encoding.UTF8.GetBytes(element.GetString()!)); return true;
            case (JsonValueKind.True or JsonValueKind.False, Datatype.Bool): tensor.Set(index, (byte)(element.GetBoolean() ? 1 : 0)); return true;
            case (JsonValueKind.Number, Datatype.Int64) when element.TryGetInt64(out var whole): tensor.Set(index, whole); return true;
            case (JsonValueKind.Number, Datatype.UInt64) when element.TryGetUInt64(out var whole): tensor.Set(index, whole); return true;
            case (JsonValueKind.Number, Datatype.FP32): tensor.Set(index, element.GetSingle()); return true;
            case (JsonValueKind.Number, not Datatype.Bytes): return Cells.TryNumber(tensor, index, element.GetDouble());
            default: return false;
        }
    }

    /// <summary>Opens after several failures in a row; after a pause one caller may try, and the outcome decides for all.</summary>
    private sealed class Breaker(TimeProvider time)
    {
        private const int Failures = 5;
        private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

        private readonly Lock guard = new();
        private int inARow;
        private long since;

        public bool MayTry()
        {
            lock (guard)
            {
                if (inARow < Failures) return true;
                if (time.GetElapsedTime(since) < Pause) return false;
                since = time.GetTimestamp();
                return true;
            }
        }

        public void Succeeded()
        {
            lock (guard) inARow = 0;
        }

        public void Failed()
        {
            lock (guard)
            {
                inARow++;
                since = time.GetTimestamp();
            }
        }
    }
}
