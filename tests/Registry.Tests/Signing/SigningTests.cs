using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using Google.Protobuf;
using Platform.Testing;
using Registry.Tests.Mlflow;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Signing;

public sealed class SigningTests
{
    private const string Keys = "api/v1/registry/signing-keys", Policy = "api/v1/registry/signing-policy";
    private static readonly byte[] File = SmallModel.Make().ToByteArray();

    [Fact]
    public async Task A_signature_by_one_of_the_tenants_keys_is_verified_and_kept_and_keys_rotate()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        using var first = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var second = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "first", publicKey = first.ExportSubjectPublicKeyInfoPem() })).ShouldBeAsync(201);

        var signed = await UploadAsync(tenant, Sign(first, File));
        signed.GetProperty("status").GetString().ShouldBe("ready");
        signed.GetProperty("intake").GetProperty("signed").GetProperty("key").GetString().ShouldBe("first");
        signed.GetProperty("intake").GetProperty("signed").GetProperty("fingerprint").GetString().ShouldBe(Convert.ToHexStringLower(SHA256.HashData(first.ExportSubjectPublicKeyInfo())));

        Reason(await UploadAsync(tenant, Sign(second, File))).ShouldBe("signature-invalid");
        Reason(await UploadAsync(tenant, Sign(first, [1]))).ShouldBe("signature-invalid");
        Reason(await UploadAsync(tenant, "not base64!")).ShouldBe("signature-invalid");

        await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "second", publicKey = second.ExportSubjectPublicKeyInfoPem() })).ShouldBeAsync(201);
        await (await tenant.Admin.DeleteAsync($"{Keys}/first")).ShouldBeAsync(204);
        Reason(await UploadAsync(tenant, Sign(first, File))).ShouldBe("signature-invalid");
        (await UploadAsync(tenant, Sign(second, File))).GetProperty("intake").GetProperty("signed").GetProperty("key").GetString().ShouldBe("second");
        // What the retired key verified stays verified.
        (await (await tenant.Viewer.GetAsync($"{TestModels.Models}/m/versions/1")).ShouldBeAsync(200)).GetProperty("intake").GetProperty("signed").GetProperty("key").GetString().ShouldBe("first");
        var policy = await (await tenant.Viewer.GetAsync(Policy)).ShouldBeAsync(200);
        policy.GetProperty("keys").EnumerateArray().Select(k => (k.GetProperty("name").GetString(), k.GetProperty("retiredAt").ValueKind is JsonValueKind.Null)).ShouldBe([("first", false), ("second", true)]);
    }

    [Fact]
    public async Task Where_signatures_are_required_a_version_without_one_is_quarantined_whichever_way_it_comes()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        await tenant.RegisterAsync("free");
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "ci", publicKey = key.ExportSubjectPublicKeyInfoPem() })).ShouldBeAsync(201);
        await (await tenant.Admin.PutAsJsonAsync(Policy, new { models = new[] { "m" } })).ShouldBeAsync(200);
        Reason(await UploadAsync(tenant, null)).ShouldBe("signature-missing");
        (await (await tenant.Developer.UploadAsync("free", File)).ShouldBeAsync(201)).GetProperty("status").GetString().ShouldBe("ready");

        var run = await tenant.NewRunAsync();
        await (await tenant.Developer.PutFileAsync($"0/{run}/artifacts/model/model.onnx", File)).ShouldBeAsync(200);
        (await MlflowAsync([])).ShouldBe("FAILED_REGISTRATION");
        (await MlflowAsync([new { key = "platform.signature", value = Sign(key, File) }])).ShouldBe("READY");

        await (await tenant.Admin.PutAsJsonAsync(Policy, new { everywhere = true })).ShouldBeAsync(200);
        (await (await tenant.Developer.UploadAsync("free", File)).ShouldBeAsync(201)).GetProperty("status").GetString().ShouldBe("quarantined");

        async Task<string?> MlflowAsync(object[] tags) =>
            (await tenant.Developer.OkAsync("POST", "model-versions/create", new { name = "m", source = $"runs:/{run}/model", tags })).GetProperty("model_version").GetProperty("status").GetString();
    }

    [Fact]
    public async Task Keys_are_the_administrators_to_set_and_must_be_public_keys()
    {
        var tenant = await TestTenant.NewAsync();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = RSA.Create(2048);
        await (await tenant.Developer.PostAsJsonAsync(Keys, new { name = "k", publicKey = key.ExportSubjectPublicKeyInfoPem() })).ShouldRefuseAsync(403, "permission-missing");
        await (await tenant.Developer.PutAsJsonAsync(Policy, new { everywhere = true })).ShouldRefuseAsync(403, "permission-missing");
        foreach (var bad in new[] { "x", rsa.ExportSubjectPublicKeyInfoPem(), key.ExportECPrivateKeyPem() })
        {
            await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "k", publicKey = bad })).ShouldRefuseAsync(400, "bad-signing-key");
        }

        await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "k", publicKey = key.ExportSubjectPublicKeyInfoPem() })).ShouldBeAsync(201);
        await (await tenant.Admin.PostAsJsonAsync(Keys, new { name = "k", publicKey = key.ExportSubjectPublicKeyInfoPem() })).ShouldRefuseAsync(409, "signing-key-exists");
        await (await tenant.Admin.DeleteAsync($"{Keys}/other")).ShouldRefuseAsync(404, "no-such-signing-key");
    }

    private static string Sign(ECDsa key, byte[] file) => Convert.ToBase64String(key.SignData(file, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));

    private static string? Reason(JsonElement version)
    {
        version.GetProperty("status").GetString().ShouldBe("quarantined");
        return version.GetProperty("intake").GetProperty("quarantine")[0].GetProperty("code").GetString();
    }

    private static async Task<JsonElement> UploadAsync(TestTenant tenant, string? signature)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{TestModels.Models}/m/versions") { Content = new ByteArrayContent(File) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } } };
        if (signature is not null) request.Headers.Add("X-Content-Signature", signature);
        return await (await tenant.Developer.SendAsync(request)).ShouldBeAsync(201);
    }
}
