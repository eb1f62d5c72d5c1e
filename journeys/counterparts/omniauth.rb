# A service on Ruby's omniauth_openid_connect, the strategy family that Rails
# platforms use. /start signs in; the callback answers the JSON of what came.
ENV["RACK_ENV"] ||= "production" # errors go to /auth/failure
require "json"
require "sinatra/base"
require "omniauth_openid_connect"

# Plain http on loopback in a test: the discovery libraries assume https.
[SWD, WebFinger].each { |lib| lib.url_builder = URI::HTTP }
OpenIDConnect.logger.level = Logger::ERROR if OpenIDConnect.respond_to?(:logger) && OpenIDConnect.logger

class Service < Sinatra::Base
  set :bind, "127.0.0.1"
  set :port, ENV.fetch("PORT").to_i
  set :environment, :production
  set :server, "puma"
  set :quiet, true
  set :server_settings, { Silent: true }
  use Rack::Session::Cookie, key: "omniauth.session", secret: "0" * 64, same_site: :lax
  use OmniAuth::Builder do
    configure { |c| c.allowed_request_methods = %i[get post]; c.silence_get_warning = true }
    provider :openid_connect,
             name: :voussoir, issuer: ENV.fetch("ISSUER"), discovery: true, response_type: :code,
             scope: ENV.fetch("SCOPE").split.map(&:to_sym),
             post_logout_redirect_uri: "http://127.0.0.1:#{ENV.fetch("PORT")}/left", # /auth/voussoir/logout
             setup: ->(env) { env["omniauth.strategy"].options[:acr_values] = Rack::Request.new(env).params["acr_values"] },
             client_options: {
               identifier: ENV.fetch("CLIENT_ID"), secret: ENV.fetch("CLIENT_SECRET"),
               redirect_uri: "http://127.0.0.1:#{ENV.fetch("PORT")}/auth/voussoir/callback",
             }
  end

  get("/start") { redirect "/auth/voussoir?#{request.query_string}" }
  get "/auth/voussoir/callback" do
    content_type :json
    auth = request.env.fetch("omniauth.auth")
    { claims: { sub: auth.uid }, userinfo: auth.extra.raw_info }.to_json
  end
  get "/auth/failure" do
    status 500
    content_type :json
    { error: params["message"] }.to_json
  end
  get("/ready") { "ready" }
end

Service.run!
