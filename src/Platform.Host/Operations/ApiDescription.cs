using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Platform.Kernel;

namespace Platform.Host.Operations;

/// <summary>What the generated OpenAPI document says beyond the routes: how to authenticate, and which permission each operation needs.</summary>
internal static class ApiDescription
{
    public static void Configure(OpenApiOptions options)
    {
        options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
        // Slices nest their shapes (Command, Response), so a schema is named after both.
        options.CreateSchemaReferenceId = type => type.Type is { IsNested: true, DeclaringType: { } slice } && OpenApiOptions.CreateDefaultSchemaReferenceId(type) is not null
            ? slice.Name + type.Type.Name
            : OpenApiOptions.CreateDefaultSchemaReferenceId(type);
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo
            {
                Title = "Platform API",
                Version = "v1",
                Description = "From a CSV to a governed, metered, live prediction. Every call carries an API key as a bearer token; refusals are problem+json with `code`, `field` and `mend`. "
                    + "Writes may be repeated safely with an `Idempotency-Key`, and guarded with the `ETag` that was read as `If-Match`.",
            };
            document.Servers?.Clear();
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                ["apiKey"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "An API key: `mlp_{tenant}.{id}.{secret}`." },
            };
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            if (context.Description.ActionDescriptor.EndpointMetadata.OfType<NeedsAttribute>().LastOrDefault() is not { } needs) return Task.CompletedTask;
            operation.Description = $"{operation.Description}\n\nNeeds the permission `{needs.Permission}`.".TrimStart('\n');
            operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("apiKey", context.Document)] = [] }];
            return Task.CompletedTask;
        });
    }
}
