using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Platform.Testing;

namespace Features.Tests;

/// <summary>Uploads as a caller makes them.</summary>
internal static class CsvCalls
{
    public const string Sales = "id,sold_on,area,garden,price\nH1,2024-01-05,80,true,100000\nH2,2024-02-01,120.5,false,200000\nH3,2024-03-09,,true,150000\n";

    public static Task<HttpResponseMessage> UploadAsync(this HttpClient client, string name, string csv) => client.UploadAsync(name, Encoding.UTF8.GetBytes(csv));

    public static Task<HttpResponseMessage> UploadAsync(this HttpClient client, string name, byte[] csv, string type = "text/csv") =>
        client.PostAsync($"api/v1/features/datasets?name={name}", new ByteArrayContent(csv) { Headers = { ContentType = new MediaTypeHeaderValue(type) } });

    /// <summary>A dataset that is there.</summary>
    public static async Task<JsonElement> HasDatasetAsync(this TestTenant tenant, string name, string csv = Sales) =>
        await (await tenant.Developer.UploadAsync(name, csv)).ShouldBeAsync(201);

    public static async Task<JsonElement> GetJsonAsync(this HttpClient client, string path) => await (await client.GetAsync(path)).ShouldBeAsync(200);

    /// <summary>The tenant's files in the blob store.</summary>
    public static string[] Files(this TestTenant tenant)
    {
        var folder = Path.Combine(tenant.App.Data, "blobs", tenant.Id);
        return Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [];
    }

    public static string Text(this JsonElement json, string property) => json.GetProperty(property).GetString()!;

    public static long Number(this JsonElement json, string property) => json.GetProperty(property).GetInt64();
}
