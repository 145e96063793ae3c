using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Inference.Tests.Predict.OpenInference;

/// <summary>The protocol's binary extension, as its public clients use it.</summary>
public sealed class BinaryTensorTests
{
    private const string HeaderLength = "Inference-Header-Content-Length";

    [Fact]
    public async Task Inputs_and_outputs_may_be_bytes_behind_the_json_each_for_itself()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        const string json = """
            {"id": "7", "inputs": [{"name": "a", "shape": [1,3], "datatype": "FP32", "data": [1,2,3]}, {"parameters": {"binary_data_size": 12}, "name": "b", "shape": [1,3], "datatype": "FP32"}],
             "outputs": [{"name": "difference", "parameters": {"binary_data": true}}, {"name": "sum"}]}
            """;
        var (answer, bytes) = await BinaryAsync(await InferAsync(tenant, json, Bytes(1f, 1f, 1.5f)));
        answer.GetProperty("id").GetString().ShouldBe("7");
        answer.GetProperty("outputs").GetRawText().ShouldBe(
            """[{"name":"difference","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}},{"name":"sum","shape":[1,3],"datatype":"FP32","data":[2,3,4.5]}]""");
        MemoryMarshal.Cast<byte, float>(bytes).ToArray().ShouldBe([0f, 1, 1.5f]);

        var kept = await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{answer.GetProperty("parameters").GetProperty("prediction_id").GetString()}");
        kept.GetProperty("inputs")[1].GetProperty("data").GetRawText().ShouldBe("[1,1,1.5]");
    }

    [Fact]
    public async Task All_outputs_are_bytes_when_the_request_says_so_and_texts_carry_their_lengths()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Text, -1), "echo");
        byte[] texts = [2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0, 3, 0, 0, 0, 0xff, 0, 1];
        var (answer, bytes) = await BinaryAsync(await InferAsync(tenant,
            $$$"""{"parameters": {"binary_data_output": true}, "inputs": [{"name": "x", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": {{{texts.Length}}}}}]}""", texts, "echo"));
        answer.GetProperty("outputs")[0].GetProperty("parameters").GetProperty("binary_data_size").GetInt32().ShouldBe(texts.Length);
        bytes.ShouldBe(texts);
        (await KeptAsync(tenant, answer)).GetProperty("raw").GetBytesFromBase64().ShouldBe(texts);
    }

    [Fact]
    public async Task The_journal_keeps_a_large_tensor_as_its_bytes()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        var values = Bytes([.. Enumerable.Range(0, 3_900_000).Select(i => i / 7f)]);
        var (answer, bytes) = await BinaryAsync(await InferAsync(tenant,
            $$$"""{"parameters": {"binary_data_output": true}, "inputs": [{"name": "x", "shape": [3900000], "datatype": "FP32", "parameters": {"binary_data_size": {{{values.Length}}}}}]}""", values, "echo"));
        bytes.AsSpan().SequenceEqual(values).ShouldBeTrue();
        (await KeptAsync(tenant, answer)).GetProperty("raw").GetBytesFromBase64().AsSpan().SequenceEqual(values).ShouldBeTrue();
    }

    [Fact]
    public async Task A_body_of_nothing_but_bytes_is_the_only_input()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1, 2), "pairs");
        var (answer, bytes) = await BinaryAsync(await InferAsync(tenant, "", Bytes(1f, 2f, 3f, 4f), "pairs"));
        answer.GetProperty("outputs")[0].GetProperty("shape").GetRawText().ShouldBe("[2,2]");
        MemoryMarshal.Cast<byte, float>(bytes).ToArray().ShouldBe([1f, 2, 3, 4]);
        (await OfProtocolAsync(await InferAsync(tenant, "", Bytes(1f), "pairs"), 400)).ShouldContain("cannot be worked out from 4 bytes");

        var words = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Text, -1, 1), "echo");
        var (_, text) = await BinaryAsync(await InferAsync(words, "", "a picture"u8.ToArray(), "echo"));
        text.ShouldBe([9, 0, 0, 0, .. "a picture"u8]);

        var two = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.SumAndDifference(), "sums");
        (await OfProtocolAsync(await InferAsync(two, "", Bytes(1f)), 400)).ShouldContain("takes 2 inputs");
    }

    [Fact]
    public async Task What_does_not_add_up_is_refused_with_what_was_promised_and_what_came()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        await RefusedAsync(Input("[3]", 12), 16, "4 bytes follow the JSON that no input claims");
        await RefusedAsync(Input("[3]", 16), 12, "'binary_data_size' of 16; 12 bytes are left");
        await RefusedAsync(Input("[3]", 8), 8, "more elements than the body can hold");
        await RefusedAsync(Input("[1]", 8), 8, "promises 4 bytes of FP32; there are 8");
        await RefusedAsync(Input("[4611686018427387904, 4]", 12), 12, "the model takes [-1]");
        await RefusedAsync(Input("[9223372036854775807]", 12), 12, "more elements than the body can hold");
        await RefusedAsync(Input("[3]", 12, ""","data":[1,2,3]"""), 12, "has both 'data' and 'binary_data_size'");
        await RefusedAsync(Input("[3]", 12) + "," + Input("[3]", 12), 24, "is there twice");
        await RefusedAsync(Input("[3]", -1), 12, "is not a whole number");
        await RefusedAsync("""{"name": "x", "shape": [3], "datatype": "FP32"}""", 12, "has no 'data'");
        await RefusedAsync($$"""{"name": "x", "shape": [3], "datatype": "FP32", "p": {{new string('[', 101)}}{{new string(']', 101)}} }""", 0, "nested deeper than 100");

        async Task RefusedAsync(string inputs, int bytes, string why) =>
            (await OfProtocolAsync(await InferAsync(tenant, $$"""{"inputs": [{{inputs}}]}""", new byte[bytes], "echo"), 400)).ShouldContain(why);

        static string Input(string shape, int size, string more = "") => $$"""{"name": "x", "shape": {{shape}}, "datatype": "FP32", "parameters": {"binary_data_size": {{size}}}{{more}}}""";
    }

    [Theory]
    [InlineData("x")]
    [InlineData("-1")]
    [InlineData("100000")]
    [InlineData("99999999999999999999")]
    public async Task A_header_that_is_no_length_is_refused(string length)
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        (await OfProtocolAsync(await SendAsync(tenant, "echo", "{}"u8.ToArray(), length), 400)).ShouldContain(HeaderLength);
    }

    [Fact]
    public async Task Parameters_that_would_change_what_the_answer_is_are_refused()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        const string body = """{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}""";
        (await OfProtocolAsync(await SendAsync(tenant, "echo", Encoding.UTF8.GetBytes(body), null), 400)).ShouldContain("'classification'");
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("deflate")]
    public async Task Bodies_may_come_and_large_answers_go_packed(string encoding)
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        var values = Enumerable.Range(0, 20_000).Select(i => (float)(i % 10)).ToArray();
        var json = Encoding.UTF8.GetBytes($$$"""{"parameters": {"binary_data_output": true}, "inputs": [{"name": "x", "shape": [20000], "datatype": "FP32", "parameters": {"binary_data_size": 80000}}]}""");
        using var answer = await SendAsync(tenant, "echo", Pack(encoding, [.. json, .. Bytes(values)]), json.Length.ToString(CultureInfo.InvariantCulture), encoding, accept: encoding);
        answer.Content.Headers.ContentEncoding.ShouldBe([encoding]);
        var unpacked = Unpack(encoding, await answer.Content.ReadAsByteArrayAsync());
        var header = int.Parse(answer.Headers.GetValues(HeaderLength).Single(), CultureInfo.InvariantCulture);
        JsonDocument.Parse(unpacked.AsMemory(0, header)).RootElement.GetProperty("outputs")[0].GetProperty("parameters").GetProperty("binary_data_size").GetInt32().ShouldBe(80_000);
        MemoryMarshal.Cast<byte, float>(unpacked.AsSpan(header)).ToArray().ShouldBe(values);

        var plain = Encoding.UTF8.GetBytes($$"""{"inputs": [{"name": "x", "shape": [20000], "datatype": "FP32", "data": [{{string.Join(',', values)}}]}]}""");
        using var asJson = await SendAsync(tenant, "echo", Pack(encoding, plain), null, encoding, accept: $"br, {encoding};q=0.5");
        asJson.Content.Headers.ContentEncoding.ShouldBe([encoding]);
        JsonDocument.Parse(Unpack(encoding, await asJson.Content.ReadAsByteArrayAsync())).RootElement.GetProperty("outputs")[0].GetProperty("data").GetArrayLength().ShouldBe(20_000);
    }

    [Fact]
    public async Task A_bomb_a_broken_archive_and_an_unknown_packing_are_refused_and_no_error_is_packed()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Identity(OnnxFiles.Float, -1), "echo");
        (await OfProtocolAsync(await SendAsync(tenant, "echo", Pack("gzip", new byte[64 << 20]), null, "gzip", "gzip"), 413)).ShouldContain("larger than");
        (await OfProtocolAsync(await SendAsync(tenant, "echo", "not gzip at all"u8.ToArray(), null, "gzip", "gzip"), 400)).ShouldContain("Content-Encoding 'gzip'");
        (await OfProtocolAsync(await SendAsync(tenant, "echo", [1, 2], null, "br", "gzip"), 415)).ShouldContain("'br'");
    }

    /// <summary>The first output as the journal has it.</summary>
    private static async Task<JsonElement> KeptAsync(TestTenant tenant, JsonElement answer) =>
        (await tenant.Viewer.GetJsonAsync($"api/v1/inference/predictions/{answer.GetProperty("parameters").GetProperty("prediction_id").GetString()}")).GetProperty("outputs")[0];

    private static byte[] Bytes(params float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private static Task<HttpResponseMessage> InferAsync(TestTenant tenant, string json, byte[] bytes, string endpoint = "sums")
    {
        var header = Encoding.UTF8.GetBytes(json);
        return SendAsync(tenant, endpoint, [.. header, .. bytes], header.Length.ToString(CultureInfo.InvariantCulture));
    }

    private static Task<HttpResponseMessage> SendAsync(TestTenant tenant, string endpoint, byte[] body, string? headerLength, string? encoding = null, string? accept = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"v2/models/{endpoint}/infer") { Content = new ByteArrayContent(body) };
        if (headerLength is not null) request.Headers.Add(HeaderLength, headerLength);
        if (encoding is not null) request.Content.Headers.ContentEncoding.Add(encoding);
        if (accept is not null) request.Headers.TryAddWithoutValidation("Accept-Encoding", accept);
        return tenant.Developer.SendAsync(request);
    }

    private static async Task<(JsonElement Json, byte[] Bytes)> BinaryAsync(HttpResponseMessage answer)
    {
        var body = await answer.Content.ReadAsByteArrayAsync();
        ((int)answer.StatusCode).ShouldBe(200, Encoding.UTF8.GetString(body));
        answer.Content.Headers.GetValues("Content-Type").ShouldBe(["application/octet-stream"]);
        var header = int.Parse(answer.Headers.GetValues(HeaderLength).Single(), CultureInfo.InvariantCulture);
        return (JsonDocument.Parse(body.AsMemory(0, header)).RootElement, body[header..]);
    }

    private static async Task<string> OfProtocolAsync(HttpResponseMessage answer, int status)
    {
        var body = await answer.ShouldBeAsync(status);
        answer.Content.Headers.GetValues("Content-Type").ShouldBe(["application/json"]);
        answer.Content.Headers.ContentEncoding.ShouldBeEmpty();
        return body.GetProperty("error").GetString()!;
    }

    private static byte[] Pack(string encoding, byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (Stream packer = encoding == "gzip" ? new GZipStream(packed, CompressionLevel.Fastest) : new ZLibStream(packed, CompressionLevel.Fastest)) packer.Write(bytes);
        return packed.ToArray();
    }

    private static byte[] Unpack(string encoding, byte[] bytes)
    {
        using Stream unpacker = encoding == "gzip" ? new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress) : new ZLibStream(new MemoryStream(bytes), CompressionMode.Decompress);
        using var unpacked = new MemoryStream();
        unpacker.CopyTo(unpacked);
        return unpacked.ToArray();
    }
}
